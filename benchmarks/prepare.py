"""A home to measure in: a simulated exchange in its lake, and a model in Production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from include.console import Step
from include.ingest.ingest import ingest_upload
from include.market.replay import Replay
from include.registry.promote import promote_version
from include.settings import Settings
from include.steps import OpenStep, simulate_to
from include.training.fit import fit_model
from include.training.record import begin_retrain
from include.training.register import register_fits

LAST_SESSION = date(2026, 6, 30)


@dataclass(frozen=True)
class Prepared:
    """Settings of the home, and the uploads that have not arrived yet."""

    settings: Settings
    replay: Replay


def prepare_home(
    home: Path,
    open_step: OpenStep,
    *,
    symbols: int,
    sessions: int,
    live: int,
    model: str,
    last_session: date = LAST_SESSION,
) -> Prepared:
    """Simulate, ingest the history, fit one model and put it into Production."""
    settings = Settings(home=home, train_windows=50_000, holdout_sessions=20, _env_file=None)
    wanted = {"symbols": symbols, "sessions": sessions, "calendar": "24/7", "seed": 7, "last_session": last_session}
    replay = simulate_to(home / "exchange", open_step("Simulate"), live=live, **wanted)
    line: Step = open_step("Load the history")
    report = ingest_upload(settings, replay.history[0], on_progress=line.update)
    line.finish(f"{report.accepted:,} bars")
    line = open_step(f"Train {model}")
    retrain, cube = begin_retrain(settings, "benchmark", names=[model])
    fit_model(settings, retrain, model, cube=cube)
    version = register_fits(settings, retrain, say=line.say)[model]
    promote_version(settings, version, who="benchmark", why="to be measured")
    line.finish(f"version {version}")
    return Prepared(settings, replay)
