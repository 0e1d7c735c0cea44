"""Storage engines: the whole contract over one atomic step that a storage offers.

``sql``
    A transaction of statements.
``fenced``
    A group of rows that is written together, under a condition on one of them.
``log``
    One put of one row, on condition that no such row is there.

A backend is a driver that brings its storage's calls to one of them.
"""
