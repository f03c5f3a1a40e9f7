"""Who was listed when, as it was known at a session: of each symbol the first and the newest session it was seen in.

Made from bars alone, and from nothing that came after the session. Ten years of symbols take seconds to read, so past
months and years are kept as blocks below `_listings`: a block's name is a hash of the data files that it was made from,
which never change. A block can therefore not be stale; one that a dead process did not finish has no name yet, and one
that is removed is made again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from include.disk import NO_RIGHT, NO_ROOM, find_errno
from include.errors import NotFoundError
from include.lake.catalog import open_committed
from include.lake.files import choose_sessions, read_files, session_values
from include.lake.identity import NO_CHANGES, SymbolChanges
from include.lake.tables import BARS

BLOCKS = "_listings"

LISTINGS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("first_session", pa.date32(), nullable=False),
        pa.field("last_session", pa.date32(), nullable=False),
        pa.field("sessions", pa.int64(), nullable=False),
    ]
)

Files = Sequence[tuple[date, Path]]


def list_symbols(
    lake: Path, as_of: date, *, version: int | None = None, changes: SymbolChanges = NO_CHANGES
) -> pa.Table:
    """Tell of each symbol ever seen up to a session when it was seen.

    Parameters
    ----------
    lake
        Folder of the tables.
    as_of
        Nothing after this session is read.
    version
        A version of bars; the newest committed one by default.
    changes
        Renames and redenominations; those known at `as_of` are named.

    Returns
    -------
    pyarrow.Table
        `LISTINGS` and successor (null while the symbol has its name), ordered by symbol, a row a symbol as it came.

    Raises
    ------
    NotFoundError
        No session up to `as_of` has bars.
    """
    bars = open_committed(lake, BARS, version=version)
    sessions = session_values(bars)
    sessions = sessions.filter(pc.less_equal(sessions, pa.scalar(as_of, pa.date32()))).to_pylist()
    if not sessions:
        raise NotFoundError(f"session {as_of} or one before it must have bars", place="bars")
    found = _merge(_read_blocks(lake, bars, sessions)).sort_by("symbol")
    successors = changes.known_at(as_of).successors()
    named = [successors.get(symbol) for symbol in found["symbol"].to_pylist()]
    return found.append_column("successor", pa.array(named, pa.string()))


def _read_blocks(lake: Path, bars: DeltaTable, sessions: Sequence[date]) -> list[pa.Table]:
    """Read the listings of each year, of each month of the newest year, and the newest month from bars."""
    files = choose_sessions(bars, sessions)
    newest = sessions[-1]
    blocks = []
    for year, in_year in groupby(files, key=lambda file: file[0].year):
        months = [list(group) for _, group in groupby(in_year, key=lambda file: file[0].month)]
        if year < newest.year:
            blocks.append(_read_block(lake, [file for month in months for file in month]))
        else:
            blocks += [_read_block(lake, month) for month in months[:-1]] + [_count(months[-1])]
    return blocks


def _read_block(lake: Path, files: Files) -> pa.Table:
    """Read the listings of some files, made once and kept under the hash of their names."""
    said = "\n".join(f"{session}/{path.name}" for session, path in files)
    block = lake / BLOCKS / f"{hashlib.sha256(said.encode()).hexdigest()}.parquet"
    try:
        _mark_read(block)
        return pq.read_table(block, schema=LISTINGS)
    except FileNotFoundError:
        found = _count(files)
    _keep_block(found, block)
    return found


def _mark_read(block: Path) -> None:
    """Let retention see that a block was read, where the lake may be written."""
    try:
        os.utime(block)
    except OSError as error:
        if error.errno not in NO_RIGHT:
            raise


def _keep_block(found: pa.Table, block: Path) -> None:
    """Keep listings for the next reader; who may not write the lake, or has no room, does without."""
    partial = block.with_name(f".{block.name}.{os.getpid()}")
    try:
        block.parent.mkdir(exist_ok=True)
        pq.write_table(found, partial)
        partial.replace(block)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        if find_errno(error) not in (*NO_RIGHT, *NO_ROOM):
            raise


def _count(files: Files) -> pa.Table:
    """Make listings from the symbols of data files."""
    sessions = [session for session, _ in files]
    symbols = read_files([path for _, path in files], ["symbol"])
    parts = []
    for session, rows in zip(sessions, symbols, strict=True):
        day = pa.repeat(pa.scalar(session, pa.date32()), rows.num_rows)
        one = pa.repeat(pa.scalar(1, pa.int64()), rows.num_rows)
        parts.append(pa.table([rows["symbol"].cast(pa.string()), day, day, one], schema=LISTINGS))
    return _merge(parts)


def _merge(parts: Sequence[pa.Table]) -> pa.Table:
    """Merge listings of different sessions into one row a symbol."""
    grouped = pa.concat_tables([LISTINGS.empty_table(), *parts]).group_by("symbol")
    found = grouped.aggregate([("first_session", "min"), ("last_session", "max"), ("sessions", "sum")])
    return found.rename_columns(LISTINGS.names).cast(LISTINGS)
