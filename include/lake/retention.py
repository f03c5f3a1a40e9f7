"""Which files may go: what no version of the audit window needs, and what no version ever named.

The versions of the window are those that were in force at its beginning or were committed since. Their files are read
from the log, commit by commit, and whatever else lies in a table's folder is old. Deltalake's own vacuum and clean-up
of logs are not used: they go by the times of files, and a log that is gone makes every version before it unreadable.
No log is ever removed here; ten years of them and their checkpoints take some 150 MB a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable

from include.errors import ClosecastError
from include.lake.catalog import CATALOGUED, committed_state, read_operations
from include.lake.tables import Table, open_table
from include.settings import Settings

ORPHAN_AGE = timedelta(days=1)
"""A file that no version names may belong to a write that is under way; after so long it can not."""

LISTINGS_AGE = timedelta(days=35)
"""Blocks of listings that nothing has read for so long are made again when they are wanted."""


_STAGED = re.compile(r"\.(parquet|json)#\d+$|^_last_checkpoint#\d+$|^_commit_.*\.json\.tmp$")
"""Names under which deltalake writes a file before it is renamed; a process that is killed leaves them."""


@dataclass(frozen=True)
class Removal:
    """A file that may go, of a table or a folder of the home, and why."""

    area: str
    path: Path
    size_bytes: int
    why: str


def plan_removals(settings: Settings, tables: Iterable[Table], *, now: datetime) -> list[Removal]:
    """List what may go, tables first.

    Raises
    ------
    ClosecastError
        A log that the audit window needs is not there; nothing of such a lake may be removed.
    """
    begin = now - timedelta(days=settings.audit_window_days)
    found = [removal for table in tables for removal in plan_table(settings.lake, table, begin=begin, now=now)]
    return [*found, *_plan_folders(settings, begin, now), *_plan_uploads(settings, now)]


def plan_table(lake: Path, table: Table, *, begin: datetime, now: datetime) -> list[Removal]:
    """List the data files of a table that no version since `begin` needs."""
    opened = open_table(lake, table)
    first = _first_needed(lake, table, opened, begin)
    folder = Path(table.path(lake))
    needed = {path for _, path in _read_adds(folder, range(first + 1, opened.version() + 1))}
    at_first = open_table(lake, table, version=first).get_add_actions(flatten=True)
    needed |= {unquote(str(path)) for path in at_first.column("path").to_pylist()}
    once = {path for _, path in _read_adds(folder, range(first + 1), partial=True)}
    removals = [
        _remove(table.name, path, "left by a write that died")
        for path in sorted([*folder.rglob("*#*"), *folder.rglob("_commit_*.json.tmp")])
        if _STAGED.search(path.name) and _changed_at(path) < now - ORPHAN_AGE
    ]
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if name.startswith("_delta_log/") or name in needed:
            continue
        if name in once:
            removals.append(_remove(table.name, path, f"no version since {begin:%Y-%m-%d} needs it"))
        elif _changed_at(path) < now - ORPHAN_AGE:
            removals.append(_remove(table.name, path, "no version ever named it"))
    return removals


def _first_needed(lake: Path, table: Table, opened: DeltaTable, begin: datetime) -> int:
    """Return the version that was in force at a moment; an earlier one where clocks or catalog leave a doubt."""
    since = begin.timestamp() * 1000
    recent = [int(commit["version"]) for commit in opened.history() if commit.get("timestamp", since) >= since]
    first = min(recent, default=int(opened.version()) + 1) - 1
    if table in CATALOGUED:
        versions = [row[f"{table.name}_version"] for row in read_operations(lake) if row["finished_at"] < begin]
        in_force = max((version for version in versions if version is not None), default=0)
        first = min(first, in_force, committed_state(lake).version_of(table) or 0)
    return max(first, 0)


def _read_adds(folder: Path, versions: range, *, partial: bool = False) -> Iterator[tuple[int, str]]:
    """Read which files some commits added; `partial` passes over a commit whose log is gone."""
    for version in versions:
        log = folder / "_delta_log" / f"{version:020d}.json"
        if not log.exists():
            if partial:
                continue
            raise ClosecastError("every log of the audit window must be there", value=log.name, place=str(folder))
        for line in log.read_text().splitlines():
            if (action := json.loads(line).get("add")) is not None:
                yield version, unquote(action["path"])


def _plan_folders(settings: Settings, begin: datetime, now: datetime) -> Iterator[Removal]:
    """List old files of the home's other folders."""
    published = f"published before {begin:%Y-%m-%d}"
    yield from _old_files("published", settings.published, begin, published)
    yield from _old_files("answers", settings.answers, begin, f"answered before {begin:%Y-%m-%d}")
    yield from _old_files("scratch", settings.scratch, now - ORPHAN_AGE, "left by work that has ended")
    for folder in (settings.published, settings.answers, *([] if settings.has_object_store else [settings.kept])):
        yield from _old_files("scratch", folder, now - ORPHAN_AGE, "left by work that has ended", pattern=".*")
    yield from _old_files("listings", settings.lake / "_listings", now - LISTINGS_AGE, "derived, not read lately")


def _old_files(area: str, folder: Path, before: datetime, why: str, *, pattern: str = "[!.]*") -> Iterator[Removal]:
    for path in sorted(folder.rglob(pattern)):
        if path.is_file() and not path.is_symlink() and _changed_at(path) < before:
            yield _remove(area, path, why)


def _plan_uploads(settings: Settings, now: datetime) -> Iterator[Removal]:
    """List kept uploads beyond their own retention, which is for ever unless a setting says otherwise.

    An object store removes by its own lifecycle rules, and nothing of it is listed here.
    """
    if settings.upload_retention_days is None or settings.has_object_store:
        return
    limit = now - timedelta(days=settings.upload_retention_days)
    ended = {row["sha256"]: row["finished_at"] for row in read_operations(settings.lake) if row["finished_at"] < limit}
    for kept in sorted(settings.kept.glob("??/*")):
        if (at := ended.get(kept.name.partition(".")[0])) is not None:
            why = f"ingested {at:%Y-%m-%d}, before {limit:%Y-%m-%d}"
            files = [kept] if kept.is_file() else sorted(path for path in kept.rglob("*") if path.is_file())
            yield from (_remove("uploads", path, why) for path in files)


def _remove(area: str, path: Path, why: str) -> Removal:
    return Removal(area, path, path.stat().st_size, why)


def _changed_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
