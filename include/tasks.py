"""What the DAGs' children do: plain values in, one call, plain values out.

A child process starts here and imports only what its own task needs; XCom carries what comes back, so dates are ISO
texts and nothing is a frame.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from include.errors import InputError, UnavailableError
from include.settings import Settings, load_settings

if TYPE_CHECKING:
    from include.training.record import Retrain

LOG_SECONDS = 10.0
TRAINING_NICENESS = 10


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


def plan_score(session: str, asked_by: str) -> str:
    """Decide what a run over several tasks reads, and by which model; return the run's id."""
    from include.scoring.score import begin_run

    return begin_run(load_settings(), parse_session(session), asked_by=asked_by).run_id


def score_shard(run_id: str, shard: int) -> int:
    """Score one shard of a planned run; return its rows."""
    from include.scoring.score import score_part

    return score_part(load_settings(), run_id, shard)


def commit_score(run_id: str) -> str:
    """Commit a run all of whose shards are scored; return its id."""
    from include.scoring.score import finish_run

    report = finish_run(load_settings(), run_id)
    _say(report.summary())
    return report.run_id


def check_future(session: str) -> int:
    """Score an earlier session again, with noise in place of what came later; return how many were compared."""
    from include.scoring.sentinel import check_future as check

    found = check(load_settings(), parse_session(session))
    _say(found.summary() if found else "no earlier session to score again")
    return found.forecasts if found else 0


def settle(session: str) -> int:
    """Join the session with the forecasts that spoke of it, and calibrate for the next; return how many outcomes."""
    from include.forecast import settle_session

    settled = settle_session(load_settings(), parse_session(session))
    _say(settled.summary())
    return settled.outcomes


def publish(session: str) -> list[str]:
    """Publish the session's forecasts; return the files."""
    from include.alerts.policy import is_switched_on
    from include.scoring.publish import publish_session

    settings, day = load_settings(), parse_session(session)
    files = publish_session(settings, day)
    if is_switched_on(settings, "forecasts_published"):
        from include.monitoring.notices import tell_published

        tell_published(settings, day)
    return [str(path) for path in files]


def predict(
    session: str | None, symbols: list[str] | None, version: int | None, upload: str | None, asked_by: str
) -> str:
    """Score any session, symbols and version, or answer an upload; return the run's id, or the answer's path."""
    settings = load_settings()
    if upload is not None:
        from include.answers.files import require_whole

        require_whole(session, symbols)
        return _answer(settings, upload, version, asked_by)
    from include.scoring.score import predict_symbols

    as_of = choose_session(settings, session)
    report = predict_symbols(settings, as_of, symbols=symbols, version=version, run_id=asked_by)
    _say(report.summary())
    return report.run_id


def _answer(settings: Settings, name: str, version: int | None, asked_by: str) -> str:
    """Answer a file that waits below the inbox, by its name alone."""
    from include.answers.answer import predict_upload
    from include.answers.files import find_adhoc

    address = find_adhoc(settings, str(name))  # the form's template makes a number of a name such as 20180601
    report = predict_upload(settings, address, version=version, run_id=asked_by, on_progress=_build_log_progress())
    _say(f"{report.summary()}\n{report.answer}\n{report.refused}")
    return str(report.answer)


def snapshot(asked_by: str) -> list[str]:
    """Take a snapshot for the retrain of a run, which every task of the run opens by the run's id; return its models.

    The same for every try.
    """
    from include.training.record import begin_retrain, choose_models, name_retrain

    _give_way()
    settings = load_settings()
    retrain, _cube = begin_retrain(settings, name_retrain(asked_by), names=choose_models(settings))
    _say(f"{retrain.retrain_id}: {retrain.snapshot}")
    return list(retrain.names)


def fit(name: str, asked_by: str) -> str:
    """Fit one model; return its name."""
    from include.training.fit import fit_model

    settings, retrain = _open_retrain(asked_by)
    found = fit_model(settings, retrain, name, on_progress=lambda *said: _say(" ".join(map(str, said))))
    _say(f"{name}: {found.metrics['relative_error']:.4f} of last close's error on held-out sessions")
    return name


def backtest(name: str, asked_by: str) -> str:
    """Refit one model over the held-out sessions; return its name."""
    from include.training.refits import backtest_model

    settings, retrain = _open_retrain(asked_by)
    found = backtest_model(settings, retrain, name, on_progress=lambda *said: _say(" ".join(map(str, said))))
    if found:
        _say(f"{name}, refitted: {found['backtest_relative_error']:.4f} of last close's error on held-out sessions")
    return name


def register(asked_by: str) -> dict[str, int]:
    """Register what was fitted; return the versions by model."""
    from include.training.register import register_fits

    settings, retrain = _open_retrain(asked_by)
    return register_fits(settings, retrain, say=_say)


def judge(asked_by: str) -> str:
    """Ask the gate; return its verdict in a sentence."""
    from include.training.judge import judge_retrain

    settings, retrain = _open_retrain(asked_by)
    return judge_retrain(settings, retrain, say=_say).why


def promote(asked_by: str) -> int:
    """Let the verdict take effect; return the version that serves."""
    from include.training.promote import promote_judged
    from include.training.record import finish_retrain

    settings, retrain = _open_retrain(asked_by)
    serving = promote_judged(settings, retrain, who=f"retrain_weekly {asked_by}", say=_say)
    finish_retrain(settings, retrain)
    return serving


def _open_retrain(asked_by: str) -> tuple[Settings, Retrain]:
    """Open the retrain of a run, in a process that gives way."""
    from include.training.record import name_retrain, open_retrain

    _give_way()
    settings = load_settings()
    return settings, open_retrain(settings, name_retrain(asked_by))


def _give_way() -> None:
    """Let this process have what scoring leaves of the processors: a retrain can wait, a close cannot."""
    os.setpriority(os.PRIO_PROCESS, 0, max(TRAINING_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


def roll_back(asked: dict[str, Any], user: str | None, asked_by: str) -> list[str]:
    """Put an earlier version back into Production; return the sessions to score again, the newest or none.

    A try after one that died behind its line in the ledger finds the line by the run's id, and goes back no further.
    """
    from include.lake.bars import newest_session
    from include.registry.promote import rollback_version
    from include.training.overrides import describe_rollback

    settings, to = load_settings(), asked["version"]
    detail, who = describe_rollback(settings, to), f"{user or 'unknown'}, {asked_by}"
    before, after = rollback_version(settings, to=to, who=who, why=asked["why"], detail=detail, request=asked_by)
    serves = "serves already" if before == after else f"(before: {before or 'none'}); effective from the next run"
    _say(f"Production: version {after} {serves}")
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
    """Forecast a session whose bars have changed; return the run's id."""
    validate(session)
    check_future(session)
    run_id = score(session, asked_by)
    publish(session)
    settle(session)
    return run_id


def maintain() -> dict[str, int]:
    """Keep the lake up; return how many files were merged and removed, and the bytes that were freed."""
    from include.alerts.retention import remove_old
    from include.lake.maintain import maintain_lake

    settings = load_settings()
    report = maintain_lake(settings)
    forgotten = remove_old(settings, time.time() - settings.audit_window_days * 86400)
    _say(f"{forgotten:,} incidents are past the audit window and were removed")
    for removal in report.removals:
        _say(f"removed {removal.area} {removal.path} ({removal.size_bytes:,} bytes): {removal.why}")
    _say(report.summary())
    merged = sum(compaction.files for compaction in report.compactions)
    return {"merged": merged, "removed": len(report.removals), "freed_bytes": report.freed_bytes}


def watch_forecasts() -> dict[str, Any]:
    """Judge the newest settled session; return it, what began and ended by it, and what is in breach."""
    from include.monitoring.messages import describe_began, describe_ended
    from include.monitoring.notices import tell_jumps, watch_quarantine
    from include.monitoring.watch import watch_forecasts as watch

    settings = load_settings()
    found = watch(settings)
    watch_quarantine(settings)
    if found.session is not None:
        tell_jumps(settings, found.session)
    for began in found.open:
        _say(describe_began(began))
    for ended in found.ended:
        _say(describe_ended(ended))
    _say(found.summary())
    return {
        "session": None if found.session is None else found.session.isoformat(),
        "began": [each.signal for each in found.began],
        "ended": [each.signal for each in found.ended],
        "open": [each.signal for each in found.open],
    }


def watch_system() -> dict[str, Any]:
    """Look once at the whole system; return what was told and what has recovered.

    Raises
    ------
    UnavailableError
        A fact could not be read. All the others were, and what they gave is told.
    """
    from include.watchdog.patrol import watch_system as watch

    found = watch(load_settings(), datetime.now(UTC))
    _say(found.summary())
    if found.unread:
        said = "; ".join(f"{name} ({why})" for name, why in found.unread.items())
        raise UnavailableError("the watchdog must be able to read every fact", value=said)
    return {"told": list(found.told), "recovered": list(found.recovered)}


def wants_retrain(watched: dict[str, Any]) -> bool:
    """Say whether what a watch found starts a retrain: something began, and the setting says so."""
    return bool(watched["began"]) and load_settings().retrain_on_breach


def report_session(session: str | None) -> str:
    """Write a session's page, the newest's by default; return where it is."""
    from include.monitoring.session_report import write_report

    settings = load_settings()
    return str(write_report(settings, choose_held_session(settings, session)))


def choose_held_session(settings: Settings, session: str | None) -> date:
    """Choose a session that has bars.

    Raises
    ------
    NotFoundError
        It has none.
    """
    from include.lake.bars import open_bars, sessions_up_to

    return sessions_up_to(open_bars(settings.lake), choose_session(settings, session), count=1)[-1]


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
