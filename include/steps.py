"""Work that takes long, with a line of progress for each part: what commands and the demo share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from include.console import Step
from include.market.exchange import simulate_exchange, write_exchange
from include.market.replay import Replay
from include.settings import Settings
from include.training.train import Listeners, Retrained, train

OpenStep = Callable[[str], Step]

_GATE = "Register and judge"


def simulate_to(out_dir: Path, step: Step, *, live: int, **wanted: Any) -> Replay:
    """Simulate an exchange and write its files; see `include.market.exchange.simulate_exchange`."""

    def tell(done: int, total: int, said: str) -> None:
        step.update(done, total, said)

    exchange = simulate_exchange(**wanted, on_progress=tell)
    paths = write_exchange(exchange, out_dir, live_sessions=live, on_progress=tell)
    step.finish(f"{wanted['symbols']:,} symbols, {wanted['sessions']} sessions")
    return Replay(paths[:1], paths[1:], exchange.sessions[-live:] if live else [])


def retrain(
    settings: Settings, open_step: OpenStep, *, names: Sequence[str] | None, promote: bool, who: str
) -> Retrained:
    """Retrain with a line of progress for each model, and one for the gate."""
    lines: dict[str, Step] = {}

    def tell(title: str, done: float, total: int, said: str) -> None:
        if title not in lines:
            lines[title] = open_step(title)
        lines[title].update(done, total, said)

    def on_fit(name: str, done: float, total: int, said: str) -> None:
        tell(f"Train {name}", done, total, said)

    def on_backtest(name: str, done: float, total: int, said: str) -> None:
        tell(f"Refit {name}", done, total, said)

    def say(said: str) -> None:
        if _GATE not in lines:
            lines[_GATE] = open_step(_GATE)
        lines[_GATE].say(said)

    reading = open_step("Read the snapshot")
    listeners = Listeners(on_snapshot=reading.finish, on_fit=on_fit, on_backtest=on_backtest, say=say)
    found = train(settings, who=who, names=names or (), promote=promote, listeners=listeners)
    for fit in found.fits:
        if line := lines.get(f"Train {fit.kind}"):
            line.finish(f"{fit.metrics['relative_error']:.4f} of last close's error")
        if line := lines.get(f"Refit {fit.kind}"):
            refitted = found.backtests[fit.kind]["backtest_relative_error"]
            line.finish(f"{refitted:.4f}, fitted {settings.backtest_origins} times in the held-out sessions")
    lines[_GATE].finish(found.judgement.why)
    return found
