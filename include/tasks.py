"""What the DAGs' children do: plain values in, one call, plain values out.

A child process starts here and imports only what its own task needs; XCom carries what comes back, so dates are ISO
texts and nothing is a frame.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Any

from include.errors import InputError
from include.settings import Settings, load_settings

LOG_SECONDS = 10.0


def _say(text: str) -> None:
    """Write a line to the task's log, which takes the child's output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _build_log_progress() -> Callable[[int, int, str], None]:
    """Give a progress that writes a line to the log every ten seconds: what ends sooner needs none."""
    last = time.monotonic()

    def tell(done: int, total: int, said: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            _say(said)

    return tell


def ingest(session: str) -> list[str]:
    """Ingest the session's uploads; return their hashes."""
    from include.ingest.ingest import ingest_session

    reports = ingest_session(load_settings(), parse_session(session), on_progress=_build_log_progress())
    for report in reports:
        _say(report.summary())
    return [report.sha256 for report in reports]


def validate(session: str) -> int:
    """Validate the session and fail where it is blocked; return the version of bars that passed."""
    from include.quality.docs import link_page
    from include.quality.results import describe, require_valid
    from include.quality.session import validate_session

    settings = load_settings()
    report = validate_session(settings, parse_session(session))
    for result in report.failed:
        _say(f"{'blocked' if result.severity == 'session' else 'warning'}: {describe(result)}")
    _say(f"Data Docs, drawn in {report.page_seconds:.2f} s: {link_page(settings, report)}")
    require_valid(report)
    return report.bars_version


def score(session: str, asked_by: str) -> str:
    """Score the session; return the run's id."""
    from include.scoring.score import score_session

    report = score_session(load_settings(), parse_session(session), run_id=asked_by)
    _say(report.summary())
    return report.run_id


def publish(session: str) -> list[str]:
    """Publish the session's forecasts; return the files."""
    from include.scoring.publish import publish_session

    return [str(path) for path in publish_session(load_settings(), parse_session(session))]


def predict(session: str | None, symbols: list[str] | None, version: int | None, asked_by: str) -> str:
    """Score any session, symbols and version; return the run's id."""
    from include.scoring.score import predict_symbols

    settings = load_settings()
    as_of = choose_session(settings, session)
    report = predict_symbols(settings, as_of, symbols=symbols, version=version, run_id=asked_by)
    _say(report.summary())
    return report.run_id


def snapshot() -> dict[str, Any]:
    """Take a snapshot for a retrain."""
    from include.training.train import take_snapshot

    return {key: _plain(value) for key, value in asdict(take_snapshot(load_settings())).items()}


def fit(name: str, pinned: dict[str, Any]) -> dict[str, Any]:
    """Fit, judge and register one model; return the candidate."""
    from include.training.train import Snapshot, fit_candidate

    days = {key: date.fromisoformat(pinned[key]) for key in ("first_session", "last_session", "holdout_from")}
    candidate = fit_candidate(
        load_settings(), Snapshot(**{**pinned, **days}), name, on_progress=lambda *said: _say(" ".join(map(str, said)))
    )
    return asdict(candidate)


def promote(candidates: list[dict[str, Any]], asked_by: str) -> int:
    """Promote the best candidate; return its version."""
    from include.training.train import Candidate, promote_best

    return promote_best(
        load_settings(), [Candidate(**row) for row in candidates], who=f"retrain_weekly {asked_by}"
    ).version


def roll_back(asked: dict[str, Any], user: str | None, asked_by: str) -> list[str]:
    """Put an earlier version back into Production; return the sessions to score again, the newest or none.

    A try after one that died behind its line in the ledger finds the line by the run's id, and goes back no further.
    """
    from include.lake.bars import newest_session
    from include.registry.promote import rollback_version

    settings = load_settings()
    before, after = rollback_version(
        settings, to=asked["version"], who=f"{user or 'unknown'}, {asked_by}", why=asked["why"], request=asked_by
    )
    _say(f"Production: version {after} (before: {before or 'none'}); effective from the next run")
    return [newest_session(settings.lake).isoformat()] if asked["rescore"] else []


def bring_back(asked: dict[str, Any], user: str | None, asked_by: str) -> list[str]:
    """Release quarantined rows or repair an upload; return the scored sessions that this touches.

    A try after one that died behind its commit finds the commit by the run's id, and nothing to do.
    """
    from include.ingest.release import bring_back as bring
    from include.lake.restatements import list_touched_sessions

    settings = load_settings()
    reports = bring(settings, asked, who=f"{user or 'unknown'}, {asked_by}")
    for report in reports:
        _say(report.summary())
    touched = {day for report in reports for day in list_touched_sessions(settings.lake, report.sha256)}
    return [day.isoformat() for day in sorted(touched)]


def score_again(session: str, asked_by: str) -> str:
    """Validate, score and publish a session whose bars have changed; return the run's id."""
    validate(session)
    run_id = score(session, asked_by)
    publish(session)
    return run_id


def maintain() -> dict[str, int]:
    """Keep the lake up; return how many files were merged and removed, and the bytes that were freed."""
    from include.lake.maintain import maintain_lake

    report = maintain_lake(load_settings())
    for removal in report.removals:
        _say(f"removed {removal.area} {removal.path} ({removal.size_bytes:,} bytes): {removal.why}")
    _say(report.summary())
    merged = sum(compaction.files for compaction in report.compactions)
    return {"merged": merged, "removed": len(report.removals), "freed_bytes": report.freed_bytes}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def choose_session(settings: Settings, session: str | None) -> date:
    """Read a session from text, or take the newest that has bars where none is given."""
    from include.lake.bars import newest_session

    return parse_session(session) if session else newest_session(settings.lake)


def parse_session(session: str) -> date:
    """Read a session from text.

    Raises
    ------
    InputError
        It is not an ISO date.
    """
    try:
        return date.fromisoformat(session)
    except ValueError as error:
        raise InputError("session must be a date as YYYY-MM-DD", value=session) from error
