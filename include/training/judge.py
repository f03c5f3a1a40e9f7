"""The step that asks the gate: every fitted model beside what serves and the naive models, on the held-out sessions.

What is decided is written down with every number whichever way it goes: on disk, in MLflow, and in the ledger by the
step after this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from include.backtest.heldout import HeldOut, Losses, combine_losses, hold_out, measure_volatility
from include.backtest.intervals import CALIBRATION_SESSIONS, LEVELS
from include.backtest.intervals import FEWEST_SESSIONS as FEWEST_CALIBRATED
from include.gate.facts import measure_facts
from include.gate.leaks import check_moved_labels
from include.gate.paired import FEWEST_SESSIONS
from include.gate.verdict import GateVerdict, judge_challengers
from include.lake.bars import BarCube
from include.schema import TARGETS
from include.settings import Settings
from include.training.champion import (
    CHAMPION,
    Champion,
    count_unjudgeable,
    find_champion,
    measure_champion,
)
from include.training.done import run_step, write_json
from include.training.fit import Fit, read_fits
from include.training.judgement import Judgement, explain_verdict, log_judgement, read_judgement, word_gate
from include.training.overrides import GATE, JUDGEMENT
from include.training.patience import ask_again
from include.training.record import Retrain, read_bars
from include.training.register import hash_registered, read_graphs, read_versions


def judge_retrain(
    settings: Settings, retrain: Retrain, *, say: Callable[[str], None], cube: BarCube | None = None
) -> Judgement:
    """Judge the models of a retrain, which are registered by now, and write it down, unless it was.

    Parameters
    ----------
    settings
        The registry, the seed.
    retrain
        All of its models must have been fitted and registered.
    say
        Told the verdict, and of every wait for MLflow.
    cube
        The snapshot's bars where they are at hand already.

    Raises
    ------
    LeakError
        A model of targets moved in time would have been promoted.
    UnavailableError
        MLflow has not answered for long.
    """
    patience = settings.registry_wait_s

    def work(folder: Path) -> None:
        bars = read_bars(settings, retrain) if cube is None else cube
        fits = read_fits(retrain)
        champion = ask_again(lambda: find_champion(settings, fits), patience_s=patience, say=say)
        judgement = _judge(settings, retrain, bars, champion)
        ask_again(lambda: log_judgement(settings, judgement), patience_s=patience, say=say)
        write_json(folder / JUDGEMENT, asdict(judgement))

    run_step(retrain.step(GATE), work, basis=retrain.basis | {"versions": hash_registered(retrain)})
    judgement = read_judgement(retrain)
    say(judgement.why)
    return judgement


@dataclass(frozen=True)
class _Case:
    """What is judged: the fits, what serves, and the held-out sessions from the first that all can be judged on."""

    retrain: Retrain
    fits: list[Fit]
    champion: Champion | None
    cube: BarCube
    held: HeldOut

    @property
    def naives(self) -> list[str]:
        return [fit.kind for fit in self.fits if fit.is_naive]

    @property
    def standing(self) -> str | None:
        """The name under which what serves is judged."""
        return self.champion.name if self.champion else None

    @property
    def first(self) -> int:
        return count_unjudgeable(self.champion, self.held)

    @property
    def sessions(self) -> list[date]:
        """Those that are judged on."""
        return self.held.sessions[self.first :]


def _judge(settings: Settings, retrain: Retrain, cube: BarCube, champion: Champion | None) -> Judgement:
    """Measure what the gate needs, ask it, and name who serves."""
    cut = cube.sessions.index(retrain.snapshot.holdout_from)
    case = _Case(retrain, read_fits(retrain), champion, cube, hold_out(cube, cut))
    forecasts = {fit.kind: fit.read_forecasts() for fit in case.fits}
    leaks = check_moved_labels(settings, cube, cut, case.held, {name: forecasts[name] for name in case.naives})
    losses = {name: combine_losses(case.held, made) for name, made in forecasts.items()}
    if len(case.sessions) >= FEWEST_SESSIONS:
        verdict = _ask_gate(settings, case, losses)
        return _conclude(case, verdict, verdict.serves, leaks)
    lowest = min(case.naives, key=lambda name: float(np.nanmean(losses[name])))
    return _conclude(case, None, case.standing or lowest, leaks)


def _ask_gate(settings: Settings, case: _Case, losses: dict[str, Losses]) -> GateVerdict:
    """Judge by the sessions that none was fitted on."""
    threads, held, cube = settings.threads, case.held, case.cube
    judged = dict(losses)
    if case.champion and case.standing == CHAMPION:
        judged[CHAMPION] = measure_champion(case.champion, cube, held, threads=threads)
    return judge_challengers(
        {name: values[case.first :] for name, values in judged.items()},
        case.standing,
        case.naives,
        seed=settings.seed,
        volatility=measure_volatility(cube, held)[case.first :],
        facts={
            fit.kind: replace(
                measure_facts(fit.graph, cube, held, lookback=fit.lookback, threads=threads),
                coverage=_read_coverage(fit, len(held.sessions)),
            )
            for fit in case.fits
            if not fit.is_naive
        },
    )


def _read_coverage(fit: Fit, sessions: int) -> dict[int, float] | None:
    """Share of targets inside the intervals that the model's earlier errors give, mean over targets; None from few."""
    if sessions < FEWEST_CALIBRATED + CALIBRATION_SESSIONS:
        return None
    shares = {level: [fit.metrics.get(f"{target}_coverage_{level}") for target in TARGETS] for level in LEVELS}
    known = {level: [share for share in found if share is not None] for level, found in shares.items()}
    return {level: sum(found) / len(found) for level, found in known.items() if found} or None


def _conclude(case: _Case, verdict: GateVerdict | None, serves: str, leaks: dict[str, float]) -> Judgement:
    """Put together what a verdict comes to; `serves` is a name among the judged."""
    versions, champion = read_versions(case.retrain), case.champion
    stays = champion is not None and serves == case.standing
    return Judgement(
        retrain_id=case.retrain.retrain_id,
        serves=champion.version.kind if champion and stays else serves,
        version=champion.version.version if champion and stays else versions[serves],
        champion=champion.version.version if champion else None,
        why=explain_verdict(champion, verdict, serves, case.naives),
        gate={fit.kind: word_gate(fit, verdict, chosen=not stays and fit.kind == serves) for fit in case.fits},
        versions=versions,
        is_naive=serves in case.naives,
        judged_sessions=len(case.sessions),
        judged_from=case.sessions[0].isoformat() if case.sessions else None,
        leaks=case.retrain.leaks | leaks,
        verdict=verdict.to_dict() if verdict else None,
        graphs=read_graphs(case.retrain),
        champion_graph=champion.version.onnx_sha256 if champion else None,
        holdout_from=case.retrain.snapshot.holdout_from.isoformat(),
    )
