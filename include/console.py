"""What commands show: tables and lines on standard output for people, one JSON object there with --json.

Progress and logs go to standard error, so that standard output is only ever the answer.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")

# Where there is no terminal, nothing cuts a line: a table in a log or a pipe keeps its columns.
_UNCUT = 400
LOG_SECONDS = 10.0
"""A log takes a line of progress so often at most."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNCUT)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNCUT)


def emit(payload: dict[str, Any], *, as_json: bool, render: Callable[[], None]) -> None:
    """Answer a command: `payload` as JSON, or what `render` draws."""
    if as_json:
        sys.stdout.write(json.dumps(payload, default=_plain) + "\n")
    else:
        render()


def _plain(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


def plain(text: str) -> str:
    """Give data's text as it may reach a terminal: control and format characters as escapes, and no markup.

    Names of files and symbols are other people's, and a terminal obeys what it is sent.

    Examples
    --------
    >>> plain("a[/b]\\x1b[2J")
    'a\\\\[/b]\\\\x1b[2J'
    """
    return escape(show_controls(text))


def show_controls(text: str) -> str:
    """Write each character that is not to be seen as Python does: control, format, surrogate, line separator."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSEEN else char for char in text
    )


def build_table(
    title: str, columns: list[str], rows: list[list[str]], *, right: int = 1, folded: Collection[str] = ()
) -> Table:
    """Build a table whose columns from `right` on are aligned to the right, as numbers are.

    Where a terminal is narrow, the columns in `folded`, which hold words and stay on the left, take more lines; the
    others give way only after them. Without such columns a table that is too wide has its headers broken into lines
    and one space between columns, so that numbers stay whole.
    """
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for position, column in enumerate(columns):
        if column in folded:
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, justify="right" if position >= right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if not folded and Measurement.get(out, out.options.update(width=_UNCUT), table).maximum > out.width:
        _draw_together(table, columns, rows)
    return table


def _draw_together(table: Table, columns: list[str], rows: list[list[str]]) -> None:
    """Break each header at its spaces into lines as wide as its column or longest word; one space between columns."""
    table.padding = (0, 1, 0, 0)
    for position, (column, header) in enumerate(zip(table.columns, columns, strict=True)):
        widths = [len(row[position]) for row in rows] + [len(word) for word in header.split()]
        column.header = "\n".join(textwrap.wrap(header, max(widths, default=1)))


def build_facts(title: str, facts: Mapping[str, str]) -> Table:
    """Build a table of names and what each is, which takes as many lines as it needs."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, value)
    return table


class Step(Protocol):
    """A line of progress."""

    def update(self, done: float, total: float, said: str = "") -> None:
        """Show `done` of `total`, and a few words."""

    def say(self, said: str) -> None:
        """Show a few words."""

    def finish(self, said: str) -> None:
        """End it, with the last word."""


class _DrawnStep:
    """A bar in a terminal."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(show_controls(title), total=None, said="", done=False)

    def update(self, done: float, total: float, said: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, said=show_controls(said))

    def say(self, said: str) -> None:
        self._progress.update(self._task, said=show_controls(said))

    def finish(self, said: str) -> None:
        self._progress.update(self._task, completed=1, total=1, said=show_controls(said), done=True)


class _LoggedStep:
    """Lines in a log: now and then how far it is, and its end."""

    def __init__(self, title: str) -> None:
        self._title = show_controls(title)
        self._began_at = self._wrote_at = time.monotonic()
        self._done_at: float | None = None  # what came of a step may be known long after it

    def update(self, done: float, total: float, said: str = "") -> None:
        if done >= total and self._done_at is None:
            self._done_at = time.monotonic()
        self.say(f"{done:,.0f} of {total:,.0f} {said}" if total > 1 else said)

    def say(self, said: str) -> None:
        if time.monotonic() - self._wrote_at >= LOG_SECONDS:
            self._wrote_at = time.monotonic()
            self._write(self._wrote_at, f"… {said}")

    def finish(self, said: str) -> None:
        self._write(self._done_at or time.monotonic(), f"✓ {said}")

    def _write(self, at: float, said: str) -> None:
        passed = timedelta(seconds=round(at - self._began_at))
        err.print(f"{passed} {self._title:<26} {show_controls(said)}", markup=False, soft_wrap=True)


@contextmanager
def show_steps() -> Iterator[Callable[[str], Step]]:
    """Show progress on standard error while the block runs; the block opens a line for each step."""
    if not err.is_terminal:
        yield _LoggedStep
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<26}", markup=False),
        BarColumn(bar_width=12),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", style="dim", markup=False, table_column=Column(no_wrap=True, ratio=1)),
    )
    # Expanded, the last column has what the others leave; otherwise a long word of it takes their room.
    with Progress(*columns, console=err, refresh_per_second=8, expand=True) as progress:
        try:
            yield lambda title: _DrawnStep(progress, title)
        except BaseException:
            _leave_out_unfinished(progress)
            raise


def _leave_out_unfinished(progress: Progress) -> None:
    """Take away the lines that would stand above an error as if they still ran; with none left, leave no trace."""
    for task in progress.tasks:
        if not task.fields["done"]:
            progress.remove_task(task.id)
    if not progress.tasks:
        progress.live.transient = True


def price(value: float | None) -> str:
    """Format a price with six significant figures; an en dash where there is none."""
    return "–" if value is None else f"{value:,.6g}"
