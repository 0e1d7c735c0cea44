"""The same work with LlamaIndex's SQLite chat store. Runs in an environment of its own.

``python llama_index.py FOLDER`` prints a JSON object: for each length, microseconds an operation.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, where this file hides the package

warnings.simplefilter("ignore")
from llama_index.core.llms import ChatMessage  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: E402
from llama_index.storage.chat_store.sqlite import SQLiteChatStore  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: E402

from bench import workload  # noqa: E402 - after the path is set


def measured(folder: str, length: int) -> dict[str, float]:
    store = SQLiteChatStore.from_params(database=f"{folder}/llama-{length}.db")
    for other in range(workload.OTHERS):
        store.set_messages(f"other-{other}", [ChatMessage(**workload.message(other))])
    store.set_messages(workload.THREAD, [ChatMessage(**workload.message(n)) for n in range(length)])
    added = ChatMessage(**workload.message(0))
    times = max(1, 2_000 // length)
    found = workload.side_by_side({"append": lambda: store.add_message(workload.THREAD, added)}, 50)
    reads = {
        "last": lambda: store.get_messages(workload.THREAD)[-workload.LAST :],
        "list": store.get_keys,
    }
    return found | workload.side_by_side(reads, times, rounds=3)


def main(folder: str) -> None:
    package = "llama-index-storage-chat-store-sqlite"
    lengths = {length: measured(folder, length) for length in workload.LENGTHS}
    print(json.dumps({"peer": f"{package} {version(package)}", "lengths": lengths}))


if __name__ == "__main__":
    main(sys.argv[1])
