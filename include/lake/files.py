"""The data files of one version of a table, and reads of some of them.

Deltalake lists a version's files in a millisecond, ten years of sessions or one; what costs is to make Python objects
of them. So the list stays in Arrow, is cut by partition value there, and only the chosen files are ever named.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from include.lake.reads import list_files

READERS = 2
"""Threads that decode files; Arrow lets go of the interpreter while it does."""


def partition_values(files: pa.Table) -> pa.ChunkedArray:
    """Return the partition value of each listed file."""
    (name,) = (name for name in files.column_names if name.startswith("partition."))
    return files[name]


def table_folder(table: DeltaTable) -> Path:
    """Return where an open table lies; deltalake writes a blank in a folder's name as %20."""
    return Path(unquote(table.table_uri.removeprefix("file://")))


def session_values(table: DeltaTable) -> pa.Array:
    """Return the distinct dates by which an open table is partitioned, oldest first, as Arrow has them."""
    return pc.unique(partition_values(list_files(table))).drop_null().sort()


def list_sessions(table: DeltaTable) -> list[date]:
    """Return the distinct dates by which an open table is partitioned, oldest first."""
    sessions: list[date] = session_values(table).to_pylist()
    return sessions


def choose_sessions(table: DeltaTable, sessions: Sequence[date]) -> list[tuple[date, Path]]:
    """Return the files of some sessions as (session, path), in the order of session and path."""
    files = list_files(table)
    wanted = files.filter(pc.is_in(partition_values(files), pa.array(list(sessions), pa.date32())))
    folder = table_folder(table)
    pairs = zip(partition_values(wanted).to_pylist(), wanted["path"].to_pylist(), strict=True)
    return sorted((session, folder / path) for session, path in pairs)


def read_file(path: Path, columns: Sequence[str], *, symbols: pa.Array | None = None) -> pa.Table:
    """Read some columns of one data file of bars, as `read_files` does."""
    return read_files([path], columns, symbols=symbols)[0]


def read_files(paths: Sequence[Path], columns: Sequence[str], *, symbols: pa.Array | None = None) -> list[pa.Table]:
    """Read some columns of several data files of bars, of some symbols or of all.

    Returns
    -------
    list of pyarrow.Table
        One a file, in their order. symbol comes dictionary encoded; files that follow one another with the same
        symbols share the dictionary.
    """
    with ThreadPoolExecutor(READERS, thread_name_prefix="lake-read") as readers:
        parts = list(readers.map(lambda path: _read_file(path, columns, symbols), paths))
    if "symbol" not in columns:
        return parts
    shared: pa.Array | None = None
    for number, part in enumerate(parts):
        own = part["symbol"].combine_chunks()
        shared = shared if shared is not None and shared.equals(own) else own
        # A file has a symbol once, so it is its own dictionary: to hash a million names takes ten times the read.
        encoded = pa.DictionaryArray.from_arrays(np.arange(len(own), dtype=np.int32), shared)
        parts[number] = part.set_column(part.column_names.index("symbol"), "symbol", encoded)
    return parts


def _read_file(path: Path, columns: Sequence[str], symbols: pa.Array | None) -> pa.Table:
    with pq.ParquetFile(path) as file:
        names = list(dict.fromkeys([*columns, "symbol"])) if symbols is not None else list(columns)
        rows = file.read(columns=names, use_threads=False)
    if symbols is not None:
        rows = rows.filter(pc.is_in(rows["symbol"], symbols))
    return rows.select(list(columns))
