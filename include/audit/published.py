"""Published files, each of which names the run that it was made from: the end of the chain of runs, known elsewhere.

A chain holds together without its newest rows, so that rows cut off at its end, or written anew with hashes that fit,
are told by what was written down outside the table. A file is published behind its run's row and never before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.audit.findings import Checked, Finding
from include.errors import ClosecastError
from include.lake.runs import Run
from include.object_store import ObjectStore, is_object_url
from include.scoring.publish import RUN
from include.settings import Settings

_AREA = "published"


@dataclass(frozen=True)
class _Named:
    """A published file, and the sequence and hash of the run that it names; None where it names none."""

    address: str
    run: tuple[int, str] | None


def check_published(settings: Settings, runs: Sequence[Run]) -> Checked:
    """Check that the chain has each run that a published file names, and has it as it was then."""
    findings: list[Finding] = []
    notes: list[str] = []
    count = unnamed = 0
    hashes = {run.sequence: run.hash for run in runs}
    for folder in _list_folders(settings):
        try:
            for file in _read_folder(settings, folder):
                count, unnamed = count + 1, unnamed + (file.run is None)
                if file.run is not None and hashes.get(file.run[0]) != file.run[1]:
                    findings.append(_tell(file.address, file.run[0], file.run[0] in hashes))
        except (ClosecastError, pa.ArrowException, OSError) as error:
            notes.append(f"published files in {folder}: {' '.join(str(error).split())[:200]}")
    if unnamed:
        notes.append(f"{unnamed:,} published file(s) of an earlier release, which name no run")
    return Checked(_AREA, count - unnamed, "files", tuple(findings), tuple(notes))


def _tell(address: str, sequence: int, is_there: bool) -> Finding:
    words = "is another in the chain than it was" if is_there else "is not in the chain any more: cut off at its end"
    return Finding(_AREA, f"run {sequence}, which {address} was made from, {words}")


def _list_folders(settings: Settings) -> list[str]:
    elsewhere = [settings.publish_to.rstrip("/")] if settings.publish_to else []
    return list(dict.fromkeys([str(settings.published), *elsewhere]))


def _read_folder(settings: Settings, folder: str) -> Iterator[_Named]:
    if is_object_url(folder):
        store = ObjectStore(retry_s=settings.store_retry_s)
        for found in store.list_folder(folder):
            if found.name.endswith(".parquet"):
                with store.open_random(found.url) as file:
                    yield _Named(found.url, _read_run(file))
        return
    for path in sorted(Path(folder).glob("*.parquet")):
        yield _Named(str(path), _read_run(path))


def _read_run(source: Any) -> tuple[int, str] | None:
    """Read what the file's own metadata say; nothing else of it is opened."""
    said = (pq.read_schema(source).metadata or {}).get(RUN)
    if said is None:
        return None
    sequence, _, run_hash = said.decode("utf-8", "replace").partition(" ")
    return (int(sequence), run_hash) if sequence.isdecimal() else (-1, run_hash)
