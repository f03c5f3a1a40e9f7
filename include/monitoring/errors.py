"""How far forecasts were from what came: mean absolute error of the log return, beside the last close's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.lake.bars import open_bars
from include.lake.files import list_sessions
from include.lake.predictions import read_newest_run
from include.lake.runs import scored_sessions
from include.lake.tables import read_partitions
from include.schema import TARGETS
from include.settings import Settings


@dataclass(frozen=True)
class SessionError:
    """Error of a session's forecasts for one target; both errors are means of |actual - forecast| of log prices."""

    as_of: date
    target_session: date
    target: str
    symbols: int
    mean_absolute_error: float
    last_close_error: float


def read_session_errors(settings: Settings, sessions: list[date] | None = None) -> list[SessionError]:
    """Join forecasts of some sessions (all by default) with what came; those still to come true are left out."""
    bars = open_bars(settings.lake)
    present = set(list_sessions(bars))
    found: list[SessionError] = []
    for as_of in sessions if sessions is not None else scored_sessions(settings.lake):
        run = read_newest_run(settings.lake, as_of).filter(pc.field("status") == "scored")
        if run.num_rows and (target_session := run["target_session"][0].as_py()) in present:
            actual = read_partitions(bars, "session", [target_session], columns=["symbol", *TARGETS])
            found += [measure_errors(run, actual, target) for target in TARGETS]
    return found


def measure_errors(run: pa.Table, actual: pa.Table, target: str) -> SessionError:
    """Measure one target of one run against the bars of the session that it spoke of."""
    plain = actual.set_column(0, "symbol", actual["symbol"].cast(pa.string())).select(["symbol", target])
    joined = run.filter(pc.field("target") == target).join(plain, keys="symbol", join_type="inner")
    came, said, last = (np.log(joined[name].to_numpy()) for name in (target, "predicted", "last_close"))
    return SessionError(
        run["as_of"][0].as_py(),
        run["target_session"][0].as_py(),
        target,
        joined.num_rows,
        float(np.abs(came - said).mean()) if joined.num_rows else float("nan"),
        float(np.abs(came - last).mean()) if joined.num_rows else float("nan"),
    )
