"""Forecasts that come true session by session, for tests of what is measured and watched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from include.ingest.ingest import ingest_upload
from include.monitoring.outcomes import settle
from include.monitoring.signals import Signals
from include.settings import Settings
from tests.include.lake.rows import forecast_row, put_forecasts

FIRST = date(2018, 6, 1)
HEADER = "symbol,date,open,high,low,close,volume,market_cap\n"


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def put_session(settings: Settings, folder: Path, session: date, closes: dict[str, float]) -> None:
    """Ingest one session whose opens are its closes."""
    path = folder / f"{session}.csv"
    quoted = {symbol.replace('"', '""'): close for symbol, close in closes.items()}
    path.write_text(HEADER + "".join(f'"{symbol}",{session},{c},{c},{c},{c},1,1\n' for symbol, c in quoted.items()))
    ingest_upload(settings, path)


def put_truth(
    settings: Settings, folder: Path, symbols: Sequence[str], sessions: range, *, flipped: range = range(0)
) -> None:
    """Let sessions come, each forecast by a model that knows half of every move; in some it has the sign wrong."""
    rng = np.random.default_rng(0)
    closes = dict.fromkeys(symbols, 100.0)
    put_session(settings, folder, day(sessions.start), closes)
    for number in sessions[1:]:
        known, unknown = rng.normal(0, 0.02, (2, len(symbols)))
        sign = -1 if number in flipped else 1
        rows: list[dict[str, Any]] = []
        for at, (symbol, last) in enumerate(closes.items()):
            predicted = last * np.exp(sign * known[at])
            bounds = {
                f"{side}_{level}": predicted * np.exp(way * width * 0.02)
                for level, width in ((80, 1.28), (95, 1.96))
                for side, way in (("lower", -1), ("upper", 1))
            }
            shared = {"as_of": day(number - 1), "target_session": day(number), "run_id": f"run {number}"}
            rows += [
                forecast_row(symbol, target, float(predicted), last, volatility=0.025, **bounds, **shared)
                for target in ("open", "close")
            ]
        put_forecasts(settings.lake, rows)
        moved = np.exp(known + unknown).tolist()
        closes = {symbol: last * up for (symbol, last), up in zip(closes.items(), moved, strict=True)}
        put_session(settings, folder, day(number), closes)
        settle(settings, day(number))


def build_signals(values: npt.NDArray[np.float64], *, name: str = "skill_close") -> Signals:
    """Build the signals of as many sessions as there are values."""
    count = len(values)
    return Signals([day(number) for number in range(count)], {name: values}, np.ones(count, dtype=np.int64), {})
