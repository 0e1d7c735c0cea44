"""Tables, colours and progress for people, by rich. Imported only where they are shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from chatstore.cli.output import cell, readable

__all__ = ["progress", "write_paragraph", "write_table"]

_WIDTH_WITHOUT_TERMINAL = 160
_WIDTH_OF_THE_REST = 40
_INDENT = "  "


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout; the cells are plain text. The first one, to be copied, stays on one line."""
    shown = [[cell(text) for text in row] for row in rows]
    longest = max((cell_len(row[0]) for row in shown), default=0)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", min_width=longest if number == 0 else None)
    for row in shown:
        table.add_row(*map(Text, row))
    width = _console().width if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    # A terminal breaks a line that is too long where it ends, and what is copied from there is whole.
    _console(max(width, longest + _WIDTH_OF_THE_REST)).print(table, soft_wrap=True)


def write_paragraph(heading: str, style: str, aside: str, body: str) -> None:
    """Write a heading in `style`, something dim beside it, and `body` below, to stdout.

    The lines of the body are indented, those that a terminal breaks too, so that none looks like a heading.
    """
    console = _console()
    text = Text.assemble((cell(heading), style), "  ", (cell(aside), "dim"), "\n")
    whole = Text(readable(body))
    width = max(console.width - len(_INDENT), 1)
    lines = whole.wrap(console, width) if sys.stdout.isatty() else whole.split()
    for line in lines if body else ():
        text.append(_INDENT).append_text(line).append("\n")
    console.print(text, soft_wrap=True)


@contextmanager
def progress(what: str, total: int | None, *, bytes_: bool = True) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far something has come, given in bytes or in pieces of `total`."""
    done: ProgressColumn = DownloadColumn() if bytes_ else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn())
    with Progress(*columns, console=_Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _console(width: int | None = None) -> Console:
    return _Console(width=width, markup=False, highlight=False, emoji=False)
