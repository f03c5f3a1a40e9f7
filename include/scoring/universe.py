"""Which symbols a session's forecast speaks of, and which of them can be scored.

The universe of a session is every symbol seen in the last `universe_sessions` sessions up to it: known then, and
nothing that came later. What can't be scored keeps its row, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from include.lake.bars import MOST_MISSING, BarCube
from include.schema import Status

MISSING_SESSIONS = 5
"""A symbol without a row is `missing` for so many sessions, then `stale`."""

STALE_SESSIONS = 20
"""After so many sessions without a row it is `delisted`, until it leaves the universe."""


@dataclass(frozen=True)
class Universe:
    """Status and reason of each symbol of a cube, both (n_symbols,), and which are to be scored."""

    status: npt.NDArray[np.object_]
    reason: npt.NDArray[np.object_]

    @property
    def scoreable(self) -> npt.NDArray[np.bool_]:
        """(n_symbols,), true where the model is asked."""
        scoreable: npt.NDArray[np.bool_] = self.status == Status.SCORED
        return scoreable

    def select(self, chosen: npt.NDArray[np.bool_]) -> Universe:
        """Keep some symbols; `chosen` is bool (n_symbols,)."""
        return Universe(self.status[chosen], self.reason[chosen])


def judge_universe(cube: BarCube, *, newest: int, lookback: int, quarantined: set[str]) -> Universe:
    """Give each symbol of a cube its status.

    Parameters
    ----------
    cube
        Bars up to the session that is scored; its values hold the model's window at least.
    newest
        Position of that session on the scale of `cube.last_seen`.
    lookback
        Sessions in the model's window.
    quarantined
        Symbols whose row of that session was refused.
    """
    age = newest - cube.last_seen
    observed = np.isfinite(cube.values[-lookback:, :, 0]).sum(axis=0)
    refused = np.array([symbol in quarantined for symbol in cube.symbols], dtype=bool) if quarantined else age < 0
    rules = [
        ((age == 0) & (observed >= lookback - MOST_MISSING), Status.SCORED),
        (age == 0, Status.TOO_SHORT),
        (refused, Status.QUARANTINED),
        (age <= MISSING_SESSIONS, Status.MISSING),
        (age <= STALE_SESSIONS, Status.STALE),
    ]
    words = np.array([*(word.value for _, word in rules), Status.DELISTED.value], dtype=object)
    rule = np.select([holds for holds, _ in rules], range(len(rules)), len(rules))
    return Universe(words[rule], _give_reasons(words[rule], age, observed, lookback))


def _give_reasons(
    status: npt.NDArray[np.object_], age: npt.NDArray[np.int64], observed: npt.NDArray[np.int64], lookback: int
) -> npt.NDArray[np.object_]:
    """Say of each symbol why it is not scored, None where it is; one text for all that have the same reason."""
    reason = np.full(len(status), None, dtype=object)
    said: dict[tuple[str, int, int], str] = {}
    for position in np.flatnonzero(status != Status.SCORED).tolist():
        case = status[position], int(age[position]), int(observed[position])
        if case not in said:
            said[case] = _say_why(Status(case[0]), *case[1:], lookback)
        reason[position] = said[case]
    return reason


def _say_why(status: Status, age: int, observed: int, lookback: int) -> str:
    match status:
        case Status.TOO_SHORT:
            return f"{observed} of the last {lookback} sessions present, at least {lookback - MOST_MISSING} are needed"
        case Status.QUARANTINED:
            return "the row of this session was refused, see quarantine"
        case _:
            return f"no row for {age} session(s)"
