"""Cubes drawn by hand: `x` a bar, `.` none, oldest session first; every price is 1."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from include.lake.bars import BarCube


def make_cube(rows: dict[str, str], *, window: int | None = None) -> BarCube:
    symbols = sorted(rows)
    length = len(rows[symbols[0]])
    present = np.array([[mark == "x" for mark in rows[symbol]] for symbol in symbols]).T
    values = np.where(present[:, :, None], np.float32(1.0), np.float32(np.nan)).repeat(6, axis=2)
    last_seen = np.where(present, np.arange(length)[:, None], -1).max(axis=0)
    sessions = [date(2024, 1, 1) + timedelta(days=day) for day in range(length)]
    kept = window or length
    return BarCube(
        values=values[-kept:],
        sessions=sessions[-kept:],
        symbols=np.array(symbols, dtype=object),
        last_close=np.ones(len(symbols)),
        last_seen=last_seen,
        bars_version=0,
    )
