"""What other chat stores left behind, as conversations to import. Sources are read, never written to.

A source is named by a URL such as ``llama-index+sqlite:///old.db`` and holds one thread in memory at a
time. What it has lost is said of each thread, and the rest of the thread is kept.
"""
