"""What commands show: tables and lines on standard output for people, one JSON object there with --json.

Progress and logs go to standard error, so that standard output is only ever the answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# Where there is no terminal, nothing cuts a line: a table in a log or a pipe keeps its columns.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 400)
err = Console(stderr=True, highlight=False)


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


def build_table(title: str, columns: list[str], rows: list[list[str]], *, right: int = 1) -> Table:
    """Build a table whose columns from `right` on are aligned to the right, as numbers are."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position >= right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


class Step:
    """A line of progress: `update` moves its bar and says how far it is."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, said="", done=False)

    def update(self, done: float, total: float, said: str = "") -> None:
        """Show `done` of `total`, and a few words."""
        self._progress.update(self._task, completed=done, total=total, said=said)

    def say(self, said: str) -> None:
        """Show a few words."""
        self._progress.update(self._task, said=said)

    def finish(self, said: str) -> None:
        """Fill the bar, with the last word."""
        self._progress.update(self._task, completed=1, total=1, said=said, done=True)


@contextmanager
def show_steps() -> Iterator[Callable[[str], Step]]:
    """Show progress on standard error while the block runs; the block opens a line for each step."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=16),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", style="dim"),
    )
    with Progress(*columns, console=err, refresh_per_second=8) as progress:
        try:
            yield lambda title: Step(progress, title)
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
        progress.live.stop()
        progress.disable = True  # where there is no terminal it would end with a blank line


def price(value: float | None) -> str:
    """Format a price with six significant figures; an en dash where there is none."""
    return "–" if value is None else f"{value:,.6g}"
