"""What a home looks like to those who read it, in a form that two homes can be compared by.

Rows are sorted and moments left out, so a home in which work was killed and done again can equal one in which it was
not. Table versions differ then and are left out too; what they stand for, bars as an operation left them, is compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from include.errors import NotFoundError
from include.lake.asof import bars_as_of
from include.lake.catalog import find_committed, read_operations
from include.lake.quarantine import QuarantineFilter, read_quarantine
from include.lake.reads import read_opened
from include.lake.tables import RESTATEMENTS
from include.settings import Settings

_MOMENTS = {"ingested_at", "quarantined_at", "restated_at", "started_at", "finished_at"}
_VERSIONS = {"bars_version", "quarantine_version", "restatements_version"}

Rows = tuple[str, ...]


@dataclass(frozen=True)
class LakeState:
    """What readers get.

    Attributes
    ----------
    bars, quarantine, restatements, uploads
        Rows as JSON, sorted.
    history
        For each operation a hash of bars as of its version, or that they are no longer kept.
    """

    bars: Rows
    quarantine: Rows
    restatements: Rows
    uploads: Rows
    history: Rows

    def differences(self, other: LakeState) -> list[str]:
        """Say which parts are not the same, with an example of each."""
        return [
            f"{name}: {len(ours)} rows, not {len(theirs)}; {next(iter(set(ours) ^ set(theirs)), 'repeated')[:300]}"
            for name, ours in vars(self).items()
            if ours != (theirs := getattr(other, name))
        ]

    def without_history(self) -> LakeState:
        """Leave out bars at earlier versions: upkeep may remove them."""
        return replace(self, history=())


@dataclass(frozen=True)
class Files:
    """Where uploads lie: the hashes of those that wait in the inbox, and of those that are kept."""

    waiting: Rows
    kept: Rows


def read_state(settings: Settings, *, with_history: bool = True) -> LakeState:
    """Read every table as any reader would; bars at earlier versions may be left out, which take the longest."""
    lake = settings.lake
    operations = read_operations(lake)
    restatements = find_committed(lake, RESTATEMENTS)
    return LakeState(
        bars=_read_bars(settings, None),
        quarantine=_sort_rows(read_quarantine(lake, QuarantineFilter(with_resolved=True)).to_pylist()),
        restatements=_sort_rows(read_opened(restatements, RESTATEMENTS).to_pylist()),
        uploads=_sort_rows({key: row[key] for key in row.keys() - _VERSIONS} for row in operations),
        history=tuple(_hash_version(settings, row["bars_version"]) for row in operations) if with_history else (),
    )


def read_files(settings: Settings) -> Files:
    """Hash what lies in the inbox and in the kept place, in sight.

    Raises
    ------
    ValueError
        A kept file's name is not its hash.
    """
    kept = _hash_uploads(settings.kept.glob("??/*"))
    named = sorted(path.name[:64] for path in settings.kept.glob("??/[!.]*"))
    if named != list(kept):
        raise ValueError(f"kept files are named {named} and hash to {kept}")
    return Files(_hash_uploads(settings.inbox.glob("*")), kept)


def _hash_uploads(paths: Iterable[Path]) -> Rows:
    return tuple(sorted(_hash_upload(path) for path in paths if not path.name.startswith(".")))


def _hash_upload(path: Path) -> str:
    """Hash a file, or a folder by its parts, by other code than the one that is tried."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    parts = sorted(part for part in path.iterdir() if part.name != "_SUCCESS")
    text = "\n".join(hashlib.sha256(part.read_bytes()).hexdigest() for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_bars(settings: Settings, version: int | None) -> Rows:
    try:
        rows: pa.Table = bars_as_of(settings.lake, version=version)
    except NotFoundError:
        return ("none",)
    return _sort_rows(rows.to_pylist())


def _hash_version(settings: Settings, version: int | None) -> str:
    """Hash bars at a version; an operation before the first bars has none."""
    if version is None:
        return "none"
    return hashlib.sha256("\n".join(_read_bars(settings, version)).encode()).hexdigest()


def _sort_rows(rows: Iterable[dict[str, object]]) -> Rows:
    return tuple(
        sorted(json.dumps({name: row[name] for name in sorted(row.keys() - _MOMENTS)}, default=str) for row in rows)
    )
