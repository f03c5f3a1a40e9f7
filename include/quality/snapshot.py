"""The gate in front of a training: the suite `snapshot` over what a model would be fitted on.

A snapshot is looked at as one row a session. A failure stops the training and nothing else: what is in Production
goes on scoring.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from include.lake.bars import BarCube
from include.quality.engine import run_suite
from include.quality.record import record_run
from include.quality.results import ValidationReport, list_blocked, require_valid
from include.quality.suites import load_suites
from include.schema import WINDOW_COLUMNS
from include.settings import Settings

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_CLOSE = WINDOW_COLUMNS.index("close")


@dataclass(frozen=True)
class Cut:
    """The last session that a snapshot may hold."""

    last_session: date


def require_valid_snapshot(settings: Settings, cube: BarCube, last_session: date) -> ValidationReport:
    """Validate what a training is about to read, keep the results, and stop it where they block.

    Parameters
    ----------
    settings
        Lake and expectations.
    cube
        The snapshot's bars.
    last_session
        Its cut: no session may lie after it.

    Raises
    ------
    BlockedError
        Names each failed expectation.
    """
    suites = load_suites(settings)
    frame = snapshot_frame(cube, list_blocked(settings.lake, cube.sessions))
    run = run_suite("snapshot", suites.snapshot, frame, Cut(last_session))
    report = ValidationReport("snapshot", last_session, cube.bars_version, suites.suite_hash, run.results)
    report = record_run(settings, report, run)
    require_valid(report)
    return report


def snapshot_frame(cube: BarCube, blocked: set[date]) -> pd.DataFrame:
    """Return one row a session.

    Returns
    -------
    pandas.DataFrame
        session (date), symbols (rows of it), listed (symbols between their first and last row), missing (share of
        the listed that have no row, weighted so that its mean is the share over all sessions), blocked (0 or 1),
        infinite (log returns that are not finite).
    """
    import pandas as pd

    closes = cube.values[:, :, _CLOSE]
    there = ~np.isnan(closes)
    listed = _between_first_and_last(there)
    lacking = (listed & ~there).sum(axis=1)
    return pd.DataFrame(
        {
            "session": pd.Series(cube.sessions, dtype=object),
            "symbols": there.sum(axis=1),
            "missing": lacking * len(closes) / max(int(listed.sum()), 1),
            "blocked": np.array([float(day in blocked) for day in cube.sessions]),
            "infinite": _count_infinite_moves(closes),
        }
    )


def _between_first_and_last(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark each symbol's sessions from its first row to its last; (n_sessions, n_symbols)."""
    begun = np.logical_or.accumulate(there, axis=0)
    goes_on = np.logical_or.accumulate(there[::-1], axis=0)[::-1]
    return np.asarray(begun & goes_on)


def _count_infinite_moves(closes: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Count each session's closes whose logarithm is not finite, so that a return to or from them is not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spoilt = ~np.isfinite(np.log(closes)) & ~np.isnan(closes) | (closes < 0)
    return np.asarray(spoilt.sum(axis=1), dtype=np.int64)
