"""The ways out of quarantine: an operator lets rows pass, or a corrected file is ingested.

Both are uploads like any other, with a file that is kept, a hash, who and why; so bars have one way in, and what a
release changed is told, restated and undone as any correction is.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.disk import explain_disk
from include.errors import InputError, NotFoundError
from include.ingest.inbox import open_source
from include.ingest.ingest import ingest_upload
from include.ingest.judge import CONFLICT, LEVEL
from include.ingest.report import IngestReport, Origin, report_from_row, require_text
from include.ingest.store import find_kept, keep_upload
from include.lake.catalog import read_operations
from include.lake.quarantine import QuarantineFilter, find_upload_hash, read_quarantine
from include.market.sessions import newest_ingestible_session
from include.quality.rows import find_broken_rows
from include.quality.suites import load_suites
from include.schema import BARS, WINDOW_COLUMNS
from include.settings import Settings
from include.uploads.stream import Progress


def list_releasable(settings: Settings) -> set[str]:
    """Return the expectations that an operator may override.

    A row that could not be read, a price that is not positive, a session that is none: no release makes bars of these.
    """
    return {CONFLICT, LEVEL} | _list_orders(settings)


def _list_orders(settings: Settings) -> set[str]:
    return {entry.name for entry in load_suites(settings).rows if entry.kind == "order"}


def release_rows(
    settings: Settings, wanted: QuarantineFilter, *, who: str, why: str, besides: Collection[str] = ()
) -> list[IngestReport]:
    """Let quarantined rows pass, against the expectation that refused them.

    Parameters
    ----------
    settings
        Where the lake is.
    wanted
        Which rows; all of them must be open and releasable.
    who, why
        For the record; a reason must be given.
    besides
        Hashes of uploads of which nothing is released.

    Returns
    -------
    list of IngestReport
        One an upload that rows were released from.

    Raises
    ------
    NotFoundError
        No open row is meant.
    InputError
        One of them may not be released, two of them are of one symbol and session, or there is no reason. Nothing was
        released.
    """
    _require_reason(why)
    found = read_quarantine(settings.lake, wanted)
    found = found.filter(pc.invert(pc.is_in(found["upload_sha256"], pa.array(sorted(besides), pa.string()))))
    if not found.num_rows:
        raise NotFoundError("a row must be open in quarantine to be released", value="no such row", place="quarantine")
    rows, orders = found.to_pylist(), _list_orders(settings)
    _require_releasable(settings, rows)
    groups: dict[tuple[str, frozenset[str]], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["upload_sha256"], _override(row["expectation"], orders)), []).append(row)
    return [_release(settings, chosen, overridden, who, why) for (_, overridden), chosen in groups.items()]


def _require_reason(why: str) -> None:
    require_text("why", why)
    if not why.strip():
        raise InputError("a release or a repair must have a reason", value=repr(why), place="why")


def _override(expectation: str, orders: set[str]) -> frozenset[str]:
    """Return the expectations that a row is let off by its release.

    What refused it and nothing else: a row whose order is wrong may have a level in doubt too. A row that breaks one
    rule about the order of prices most often breaks the other, so the two go together. One that today's rules accept
    (its session has closed since, a limit was changed) is let off nothing.
    """
    return frozenset(orders) if expectation in orders else frozenset({expectation} & {CONFLICT, LEVEL})


def _require_releasable(settings: Settings, rows: list[dict[str, Any]]) -> None:
    allowed = list_releasable(settings)
    in_question = [row for row in rows if row["expectation"] not in allowed]
    for row, passes in zip(in_question, _pass_now(settings, in_question), strict=True):
        if not passes:
            rule = f"a row refused by {', '.join(sorted(allowed))} can be released; any other must be repaired"
            raise InputError(rule, value=f"{row['expectation']}: {row['reason']}", place=_place_of(row))
    twice, count = Counter((row["symbol"], row["session"]) for row in rows).most_common(1)[0]
    if count > 1:
        rule = "one row of a symbol and session can be released: name its row number"
        raise InputError(rule, value=f"{count} rows of {twice[0]} on {twice[1]}", place="quarantine")


def _pass_now(settings: Settings, rows: list[dict[str, Any]]) -> list[bool]:
    """Tell which rows break none of today's rules; one with a cell that could not be read does."""
    readable = [row for row in rows if _is_readable(json.loads(row["raw"]))]
    if not readable:
        return [False] * len(rows)
    bars = _build_file(readable).rename_columns({"date": "session"})
    newest = newest_ingestible_session(settings.calendar, datetime.now(UTC))
    broken = find_broken_rows(bars, load_suites(settings).rows, settings.calendar, newest_session=newest)
    sound = {id(row) for row, code in zip(readable, broken, strict=True) if code < 0}
    return [id(row) in sound for row in rows]


def _is_readable(numbers: dict[str, Any]) -> bool:
    return all(isinstance(numbers.get(name, ""), float | int | None) for name in WINDOW_COLUMNS)


def _place_of(row: dict[str, Any]) -> str:
    return f"quarantine, upload {row['upload_sha256'][:12]}, row {row['row_number']}"


def _release(
    settings: Settings, rows: list[dict[str, Any]], overridden: frozenset[str], who: str, why: str
) -> IngestReport:
    upload = rows[0]["upload_sha256"]
    with explain_disk("a release", str(settings.scratch)), _open_scratch(settings) as folder:
        path = Path(folder) / f"release-{upload[:12]}.parquet"
        said = {"who": who, "why": why, "number": str(_count_releases(settings, upload) + 1)}
        pq.write_table(_build_file(rows).replace_schema_metadata(said), path)
        # Before it is ingested: a process that dies after the commit leaves no one who could make this file again.
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        keep_upload(settings, open_source(path), sha256, move=False)
        origin = Origin("release", who, why, upload)
        return ingest_upload(settings, path, origin=origin, overridden=overridden)


def _open_scratch(settings: Settings) -> tempfile.TemporaryDirectory[str]:
    settings.scratch.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=settings.scratch, prefix="release-")


def _count_releases(settings: Settings, upload: str) -> int:
    """Count the releases of an upload: the number tells each from the next, and not from its own second try."""
    operations = read_operations(settings.lake)
    return sum(row["kind"] == "release" and row["of_sha256"] == upload for row in operations)


def _build_file(rows: list[dict[str, Any]]) -> pa.Table:
    """Put released rows into the form of an upload."""
    numbers = [json.loads(row["raw"]) for row in rows]
    columns = {
        "symbol": pa.array([row["symbol"] for row in rows], pa.string()),
        "date": pa.array([row["session"] for row in rows], pa.date32()),
        **{name: pa.array([number[name] for number in numbers], BARS.field(name).type) for name in WINDOW_COLUMNS},
        "released_from": pa.array([row["upload_sha256"] for row in rows], pa.string()),
        "row_number": pa.array([row["row_number"] for row in rows], pa.int64()),
        "expectation": pa.array([row["expectation"] for row in rows], pa.string()),
    }
    return pa.table(columns)


def repair_upload(
    settings: Settings, upload: str, corrected: Path | str, *, who: str, why: str, on_progress: Progress | None = None
) -> IngestReport:
    """Ingest a corrected file in place of what an upload had in quarantine.

    Parameters
    ----------
    settings
        Where the lake is.
    upload
        Hash of the upload that is repaired, or how it begins.
    corrected
        The corrected file: all of the upload, or the refused rows alone. Open rows of the upload whose symbol and
        session it brings have left quarantine then; where it has as many rows as the upload had, those too whose symbol
        or session could not be read.
    who, why
        For the record; a reason must be given.
    on_progress
        See `ingest_upload`.
    """
    _require_reason(why)
    mended = find_upload_hash(settings.lake, upload)
    return ingest_upload(settings, corrected, origin=Origin("repair", who, why, mended), on_progress=on_progress)


def bring_back(settings: Settings, asked: dict[str, Any], *, who: str) -> list[IngestReport]:
    """Release or repair as a form asks; what `who` has brought back before is not done again, the rest is.

    Parameters
    ----------
    settings
        Where the lake is.
    asked
        action (`release` or `repair`), upload, expectation, symbols, rows, file, why; None where the form was empty.
    who
        Tells this asking from any other.

    Raises
    ------
    InputError
        A repair without upload or file, or a release that says no rows; and as `release_rows`.
    """
    done = [report_from_row(row) for row in read_operations(settings.lake) if row["who"] == who]
    if asked["action"] == "repair":
        return _repair_as_asked(settings, asked, done, who)
    chosen = {name: asked[name] or None for name in ("upload", "expectation", "symbols", "rows")}
    if not any(chosen.values()):
        raise InputError("a release must say which rows", value="all of quarantine", place="upload")
    rows = [int(number) for number in chosen["rows"]] if chosen["rows"] else None
    wanted = QuarantineFilter(chosen["upload"], chosen["expectation"], chosen["symbols"], rows)
    uploads = {report.of_sha256 for report in done if report.of_sha256}
    try:
        return [*done, *release_rows(settings, wanted, who=who, why=asked["why"], besides=uploads)]
    except NotFoundError:
        if done:
            return done
        raise


def _repair_as_asked(
    settings: Settings, asked: dict[str, Any], done: list[IngestReport], who: str
) -> list[IngestReport]:
    """Repair, unless that was done and the corrected file is kept: a try that died may have left it where it was."""
    if done and all(find_kept(settings, report.sha256) for report in done):
        return done
    for name in ("upload", "file"):
        if not asked[name]:
            raise InputError(f"a repair must say its {name}", value=asked[name], place=name)
    return [repair_upload(settings, asked["upload"], asked["file"], who=who, why=asked["why"])]
