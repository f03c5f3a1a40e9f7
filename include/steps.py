"""Work that takes long, with a line of progress for each part: what commands and the demo share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from include.console import Step
from include.market.exchange import simulate_exchange, write_exchange
from include.market.replay import Replay
from include.settings import Settings
from include.training.train import Candidate, Snapshot, promote_best, train
from models.catalog import MODEL_NAMES

OpenStep = Callable[[str], Step]


def simulate_to(out_dir: Path, step: Step, *, live: int, **wanted: Any) -> Replay:
    """Simulate an exchange and write its files; see `include.market.exchange.simulate_exchange`."""

    def tell(done: int, total: int, said: str) -> None:
        step.update(done, total, said)

    exchange = simulate_exchange(**wanted, on_progress=tell)
    paths = write_exchange(exchange, out_dir, live_sessions=live, on_progress=tell)
    step.finish(f"{wanted['symbols']:,} symbols, {wanted['sessions']} sessions")
    return Replay(paths[:1], paths[1:], exchange.sessions[-live:] if live else [])


def train_and_promote(
    settings: Settings, open_step: OpenStep, *, names: Sequence[str] | None, promote: bool, who: str
) -> tuple[Snapshot, list[Candidate], Candidate | None]:
    """Train with a line of progress for each model."""
    lines: dict[str, Step] = {}

    def tell(name: str, done: int, total: int, said: str) -> None:
        if name not in lines:
            lines[name] = open_step(f"Train {name}")
        lines[name].update(done, total, said)

    reading = open_step("Read the snapshot")
    snapshot, candidates = train(settings, names=names or MODEL_NAMES, on_progress=tell, on_snapshot=reading.finish)
    for candidate in candidates:
        if candidate.kind in lines:
            lines[candidate.kind].finish(
                f"version {candidate.version}, {candidate.relative_error:.4f} of last close's error"
            )
    return snapshot, candidates, promote_best(settings, candidates, who=who) if promote else None
