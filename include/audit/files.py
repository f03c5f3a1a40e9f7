"""Data files of the lake, held against the SHA-256 in their names; what was changed in bars is told by the uploads.

A file's name stands in the table's log. One from before names held a hash, or that another program wrote, can't be
checked so, and is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.audit.findings import Checked, Finding
from include.errors import ClosecastError
from include.ingest.store import open_kept
from include.lake.bars import open_bars
from include.lake.catalog import find_operation
from include.lake.data_files import named_hash
from include.lake.files import choose_sessions, list_sessions, read_file
from include.lake.reads import list_files
from include.lake.runs import Run
from include.lake.tables import BARS, Table, find_table
from include.registry.artifact import hash_file
from include.schema import WINDOW_COLUMNS
from include.settings import Settings
from include.uploads.read import read_upload


def check_files(settings: Settings, table: Table, runs: Sequence[Run]) -> Checked:
    """Check every data file of a table that is there, of all its versions, and that none of the newest is missing."""
    opened = find_table(settings.lake, table)
    if opened is None:
        return Checked(table.name, 0, "files")
    folder = Path(table.path(settings.lake))
    present = sorted(folder.glob(f"{table.partition}=*/*.parquet"))
    findings: list[Finding] = []
    for path in present:
        if (expected := named_hash(path)) and hash_file(path) != expected:
            findings += _name_rows(settings, table, path, runs)
    newest = {folder / unquote(path) for path in list_files(opened)["path"].to_pylist()}
    for path in sorted(newest - set(present)):
        findings.append(Finding(table.name, f"data file {path.relative_to(folder)} is missing", (), _session_of(path)))
    unnamed = sum(named_hash(path) is None for path in present)
    said = f"{unnamed:,} file(s) of {table.name} by an earlier release or another program, without a hash in their name"
    notes = (said,) if unnamed else ()
    return Checked(table.name, len(present) - unnamed, "files", tuple(findings), notes)


def is_whole(path: Path) -> bool | None:
    """Whether a data file is as it was written; None where its name does not hold a hash."""
    expected = named_hash(path)
    return None if expected is None else path.is_file() and hash_file(path) == expected


def _session_of(path: Path) -> date:
    return date.fromisoformat(path.parent.name.partition("=")[2])


def _name_rows(settings: Settings, table: Table, path: Path, runs: Sequence[Run]) -> list[Finding]:
    session = _session_of(path)
    said = f"data file {path.parent.name}/{path.name} was changed after it was written"
    if table != BARS:
        return [Finding(table.name, said, (), session)]
    run_ids = _find_readers(settings, path, session, runs)
    try:
        cells = _compare_uploads(settings, path, session)
    except (ClosecastError, pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        return [Finding(table.name, f"{said}; which rows can't be told: {reason}", run_ids, session)]
    if not cells:
        return [Finding(table.name, f"{said}; every price in it is that of its upload", run_ids, session)]
    return [Finding(table.name, f"{cell}; {said}", run_ids, session, *named) for cell, *named in cells]


def _find_readers(settings: Settings, path: Path, session: date, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the runs whose universe or window holds a session, and whose version of bars has the file."""
    found = []
    for run in runs:
        if run.as_of < session:
            continue
        try:
            bars = open_bars(settings.lake, version=run.bars_version)
        except ClosecastError:  # past retention
            continue
        since = [day for day in list_sessions(bars) if session <= day <= run.as_of]
        if len(since) <= _reach(settings, run) and path in {file for _, file in choose_sessions(bars, [session])}:
            found.append(run.run_id)
    return tuple(found)


def _reach(settings: Settings, run: Run) -> int:
    """Return how many sessions up to its own a run reads."""
    from include.audit.recall import recall_settings
    from include.backtest.cohorts import VOLATILITY_SESSIONS

    return max(recall_settings(settings, run).universe_sessions, run.lookback, VOLATILITY_SESSIONS + 1)


def _compare_uploads(settings: Settings, path: Path, session: date) -> list[tuple[str, str, str]]:
    """Find the cells of a file that are in no row of the upload that they name: words, symbol, column."""
    rows = read_file(path, ["symbol", *WINDOW_COLUMNS, "upload_sha256"])
    found = []
    for sha256 in pc.unique(rows["upload_sha256"]).to_pylist():
        own = rows.filter(pc.equal(rows["upload_sha256"], sha256))
        found += _compare_upload(own, _read_kept(settings, sha256, session), sha256)
    return found


def _read_kept(settings: Settings, sha256: str, session: date) -> pa.Table:
    """Read a session's rows of a kept upload, as they came."""
    operation = find_operation(settings.lake, sha256)
    single = operation["last_session"] if operation and operation["sessions"] == 1 else None
    with read_upload(
        open_kept(settings, sha256), scratch=None, date_order=settings.date_order, expected_session=single
    ) as upload:
        parts = [part.filter(pc.equal(part["session"], session)) for part in upload.bars.groups()]
        return pa.concat_tables(parts).select(["symbol", *WINDOW_COLUMNS])


def _compare_upload(rows: pa.Table, came: pa.Table, sha256: str) -> list[tuple[str, str, str]]:
    offered: dict[str, list[dict[str, float | None]]] = {}
    for each in came.to_pylist():
        offered.setdefault(each["symbol"], []).append(each)
    found = []
    for row in rows.to_pylist():
        others = offered.get(row["symbol"], [])
        if not others:
            found.append((f"no row of {row['symbol']} is in upload {sha256[:12]}", row["symbol"], "symbol"))
            continue
        nearest = min(others, key=lambda other: len(_list_unequal(row, other)))
        for name in _list_unequal(row, nearest):
            words = f"{row['symbol']} {name} is {row[name]}, in upload {sha256[:12]} {nearest[name]}"
            found.append((words, row["symbol"], name))
    return found


def _list_unequal(row: dict[str, float | None], other: dict[str, float | None]) -> list[str]:
    def same(first: float | None, second: float | None) -> bool:
        if first is None or second is None:
            return first is second
        return np.float64(first).tobytes() == np.float64(second).tobytes()

    return [name for name in WINDOW_COLUMNS if not same(row[name], other[name])]
