"""Hostile uploads: thousands of spoilt files, each ingested into a new home, in a process that may die without harm.

unexplained   files that ended neither in counted rows, all found in the tables, nor in one InputError; crashes, wrong
              counts and files written outside the lake are among them
peak_rss_gib  the largest resident set of the processes that read
What each file came to is printed by kind: all rows accepted, some refused, or the rule that refused the file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.mutations import load_originals, mutate
from benchmarks.report import Goal, report
from benchmarks.resident import peak_rss_gib
from include.console import build_table, out
from include.errors import InputError
from include.ingest.ingest import ingest_upload
from include.lake.catalog import find_committed
from include.lake.reads import list_files, read_opened
from include.lake.tables import BARS, QUARANTINE
from include.settings import PROJECT_ROOT, Settings
from include.uploads.read import read_upload

GOALS = {"unexplained": Goal(at_most=0), "peak_rss_gib": Goal(at_most=1.5)}
_SECONDS_A_FILE = 60


@dataclass(frozen=True)
class Counts:
    """What became of a file's rows."""

    rows: int
    accepted: int
    refused: int
    duplicates: int = 0

    @property
    def add_up(self) -> bool:
        """Whether every row is somewhere, once."""
        return self.rows == self.accepted + self.refused + self.duplicates


Reader = Callable[[Path], Counts]


@dataclass(frozen=True)
class Result:
    """What one spoilt file came to."""

    index: int
    name: str
    outcome: str
    is_explained: bool


def read_rows(path: Path) -> Counts:
    """Read with the upload readers alone, and go through all that they give."""
    with read_upload(path, scratch=path.parent) as upload:
        accepted = sum(group.num_rows for group in upload.bars.groups(1000))
        refused = sum(batch.num_rows for batch in upload.refused.batches())
        return Counts(upload.rows, accepted, refused)


def ingest_rows(path: Path) -> Counts:
    """Ingest into a new home, and count what the tables hold against what the report says."""
    with tempfile.TemporaryDirectory(prefix="closecast-mutate-") as home:
        settings = Settings(home=Path(home), _env_file=None)
        found = ingest_upload(settings, path)
        opened = find_committed(settings.lake, BARS)
        bars = sum(list_files(opened)["num_records"].to_pylist()) if opened else 0
        quarantine = find_committed(settings.lake, QUARANTINE)
        refused = read_opened(quarantine, QUARANTINE, columns=["row_number"]).num_rows
        names = {entry.name for entry in Path(home).iterdir()}
        if (bars, refused) != (found.added, found.quarantined) or names - {"lake", "uploads", "scratch"}:
            return Counts(found.rows, bars, refused, -1)
        return Counts(found.rows, found.accepted, found.quarantined, found.duplicates)


def run_mutations(
    read: Reader, indexes: range, *, seed: int, shared_data: Path | None
) -> Iterator[tuple[Result, float]]:
    """Read spoilt files one by one in a child; a child that dies is replaced, and its file is reported.

    Yields
    ------
    tuple of Result and float
        What the file came to, and the peak of the child's resident set so far, in GiB.
    """
    context, start = multiprocessing.get_context("spawn"), indexes.start
    while start < indexes.stop:
        ours, theirs = context.Pipe(duplex=False)
        work = (read, range(start, indexes.stop), seed, shared_data, theirs)
        child = context.Process(target=_read_all, args=work)
        child.start()
        theirs.close()
        for result, peak in _receive(ours):
            start = result.index + 1
            yield result, peak
        child.join(timeout=1)
        if child.is_alive():  # it hangs
            child.kill()
            child.join()
        if start < indexes.stop:
            yield Result(start, "", f"child died with {child.exitcode}", is_explained=False), 0.0
            start += 1


def _receive(pipe: Connection) -> Iterator[tuple[Result, float]]:
    while pipe.poll(_SECONDS_A_FILE):
        try:
            yield pipe.recv()
        except EOFError:
            return


def _read_all(read: Reader, indexes: range, seed: int, shared_data: Path | None, pipe: Connection) -> None:
    originals = load_originals(shared_data)
    with tempfile.TemporaryDirectory() as folder:
        for index in indexes:
            name, content = mutate(originals, seed, index)
            path = Path(folder) / name
            path.write_bytes(content)
            outcome, is_explained = _judge(read, path)
            if os.listdir(folder) != [name]:  # noqa: PTH208 (two names are compared, not paths)
                outcome, is_explained = "left a file behind", False
            path.unlink()
            pipe.send((Result(index, name, outcome, is_explained), peak_rss_gib()))
    pipe.close()


def _judge(read: Reader, path: Path) -> tuple[str, bool]:
    """Read one file; give what it came to, and whether that is one of the ends a file may have."""
    try:
        counts = read(path)
    except InputError as error:
        return f"refused: {error.rule}", "\n" not in str(error) and path.name in str(error)
    except BaseException as error:  # noqa: BLE001 (what else there may be is what is looked for)
        return f"{type(error).__name__}: {error}", False
    if not counts.add_up:
        return f"counts do not add up: {counts}", False
    return "all rows accepted" if counts.accepted == counts.rows else "some rows refused", True


def main() -> int:
    """Read as many spoilt files as asked for, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--readers", action="store_true", help="the readers alone, without the lake behind them")
    given = parser.parse_args()
    data = Path(os.environ.get("CLOSECAST_SHARED_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    shared_data = data if data.is_dir() else None
    kinds: Counter[str] = Counter()
    unexplained, peak = [], 0.0
    read = read_rows if given.readers else ingest_rows
    indexes = range(given.first, given.first + given.count)
    for result, rss_gib in run_mutations(read, indexes, seed=given.seed, shared_data=shared_data):
        kinds[result.outcome] += 1
        peak = max(peak, rss_gib)
        if not result.is_explained:
            unexplained.append(result)
    out.print(build_table("outcomes", ["files", "came to"], [[f"{n:,}", kind] for kind, n in kinds.most_common()]))
    for result in unexplained[:20]:
        sys.stdout.write(json.dumps(vars(result)) + "\n")
    measured = {"files": given.count, "unexplained": len(unexplained), "peak_rss_gib": peak}
    note = "" if shared_data else f"Without the real files: none at {data}."
    return 0 if report("mutate", measured, GOALS, note=note) else 1


if __name__ == "__main__":
    sys.exit(main())
