"""A run made again from what it was pinned to, and held against what it wrote.

Where code and environment are the recorded ones the same bits must come; where they are not, that is said, and numbers
are held to 1e-6. What can't be made again says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from include.audit.compare import Comparison, Difference, compare_forecasts
from include.audit.recall import is_same_code, is_same_environment, recall_plan, recall_settings
from include.errors import ClosecastError, InputError
from include.lake.predictions import read_forecasts
from include.lake.runs import Run, assign_shards
from include.lake.tables import PREDICTIONS
from include.provenance import code_version
from include.scoring.shard import score_shard
from include.settings import Settings


class Outcome(StrEnum):
    """What came of a replay."""

    IDENTICAL = "identical"
    CLOSE = "within 1e-6"
    DIFFERS = "differs"
    IMPOSSIBLE = "can't be replayed"


@dataclass(frozen=True)
class Replay:
    """One run made again.

    Attributes
    ----------
    outcome
        What came of it. Within rounding is a fault too where code and environment are the run's own.
    rows, identical, close, differences
        See `include.audit.compare.Comparison`.
    code
        The run's own version of the code, and whether this is it.
    why
        Why it can't be replayed; None where it was.
    """

    run_id: str
    as_of: date
    table: str
    outcome: Outcome
    rows: int
    identical: int
    close: int
    differences: tuple[Difference, ...]
    code: str
    is_same_code: bool
    is_same_environment: bool
    why: str | None = None

    @property
    def is_fault(self) -> bool:
        """Whether something was changed since: different numbers, or other bits from the same code and libraries."""
        rounded = self.outcome is Outcome.CLOSE and self.is_same_code and self.is_same_environment
        return self.outcome is Outcome.DIFFERS or rounded

    def summary(self) -> str:
        """Return one line for people."""
        said = f"{self.as_of} {self.run_id}: {self.outcome}"
        if self.why:
            return f"{said}: {self.why}"
        return f"{said}, {self.identical:,} of {self.rows:,} rows to the bit{self.describe_origin()}"

    def describe_origin(self) -> str:
        """Say where code or environment are others than the run's; nothing where they are not."""
        parts = [] if self.is_same_code else [f"code was {self.code}, is {code_version()}"]
        parts += [] if self.is_same_environment else ["the locked requirements are others"]
        return f" ({'; '.join(parts)})" if parts else ""


def replay_runs(
    settings: Settings,
    runs: Sequence[Run],
    *,
    symbol: str | None = None,
    tell: Callable[[int, int, str], None] = lambda done, total, said: None,
) -> list[Replay]:
    """Replay runs one after another; `tell` gets how many are done, how many there are, and the session."""
    found = []
    for run in runs:
        found.append(replay_run(settings, run, symbol=symbol))
        tell(len(found), len(runs), str(run.as_of))
    return found


def replay_run(settings: Settings, run: Run, *, symbol: str | None = None) -> Replay:
    """Make a run again, and compare.

    Parameters
    ----------
    settings
        Where things lie.
    run
        Which.
    symbol
        Compare its forecasts alone; of several shards only its own is made.
    """
    try:
        recorded = read_forecasts(settings.lake, run)
        found = compare_forecasts(_select(recorded, symbol), _select(_compute(settings, run, recorded, symbol), symbol))
    except InputError as error:
        # Only of a run for some symbols: a name that is in the record and was not in the universe.
        return _conclude(run, Outcome.DIFFERS, Comparison(0, 0, 0, ()), why=str(error))
    except (ClosecastError, pa.ArrowException, OSError) as error:
        return _conclude(run, Outcome.IMPOSSIBLE, Comparison(0, 0, 0, ()), why=" ".join(str(error).split())[:300])
    if symbol is not None and not found.rows:
        return _conclude(run, Outcome.IMPOSSIBLE, found, why=f"it does not speak of {symbol}")
    if found.identical == found.rows:
        return _conclude(run, Outcome.IDENTICAL, found)
    return _conclude(run, Outcome.CLOSE if found.identical + found.close == found.rows else Outcome.DIFFERS, found)


def _compute(settings: Settings, run: Run, recorded: pa.Table, symbol: str | None) -> pa.Table:
    # What a run was asked for is not in its row, but in its forecasts: a scheduled one has the whole universe.
    asked = None if run.scored_into == PREDICTIONS.name else sorted(set(recorded["symbol"].to_pylist()))
    plan, then = recall_plan(settings, run, symbols=asked), recall_settings(settings, run)
    return pa.concat_tables([score_shard(then, plan, shard) for shard in _choose_shards(run, symbol)])


def _choose_shards(run: Run, symbol: str | None) -> Sequence[int]:
    return range(run.shards) if symbol is None else [int(assign_shards([symbol], run.shards)[0])]


def _select(rows: pa.Table, symbol: str | None) -> pa.Table:
    return rows if symbol is None else rows.filter(pc.equal(rows["symbol"].cast(pa.string()), symbol))


def _conclude(run: Run, outcome: Outcome, found: Comparison, *, why: str | None = None) -> Replay:
    return Replay(
        run.run_id,
        run.as_of,
        run.scored_into,
        outcome,
        found.rows,
        found.identical,
        found.close,
        found.differences,
        run.code_version,
        is_same_code(run),
        is_same_environment(run),
        why,
    )
