"""Scoring runs and their forecasts, held against the hashes that they were written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from include.audit.findings import Checked, Finding
from include.audit.replay import Outcome, replay_run
from include.lake.chain import find_chain_faults
from include.lake.predictions import read_forecasts
from include.lake.runs import RUN_ID, Run, hash_run
from include.lake.tables import ADHOC_PREDICTIONS, PREDICTIONS, find_table
from include.settings import Settings

_SHARED = (
    *("model_name", "model_version", "model_kind", "lookback", "bars_version", "calibration_version"),
    *("reference_version", "settings_hash", "environment_hash", "code_version", "shards"),
)
"""Columns of a forecast that are the run's own."""


def check_chain(settings: Settings, runs: Sequence[Run]) -> Checked:
    """Check that no row of `scoring_runs` was changed, left out or put elsewhere."""
    named = {f"run {run.sequence}": run.run_id for run in runs}
    found = []
    for said in find_chain_faults([asdict(run) for run in runs], noun="run"):
        run_id = named.get(" ".join(said.split()[:2]))
        found.append(Finding("chain", said, (run_id,) if run_id else ()))
    return Checked("chain", len(runs), "runs", tuple(found), _list_unnamed(settings, {run.run_id for run in runs}))


def _list_unnamed(settings: Settings, known: set[str]) -> tuple[str, ...]:
    """Say which forecasts were committed and have no row: of runs that died, or whose rows were cut off at the end."""
    notes = []
    for table in (PREDICTIONS, ADHOC_PREDICTIONS):
        opened = find_table(settings.lake, table)
        commits = opened.history() if opened else []
        unnamed = {str(commit[RUN_ID]) for commit in commits if RUN_ID in commit} - known
        notes += [
            f"forecasts of {run_id} in {table.name} that no run names: it died, or its row was cut off"
            for run_id in sorted(unnamed)
        ]
    return tuple(notes)


def check_forecasts(settings: Settings, runs: Sequence[Run], tell: Callable[[int, int], None]) -> Checked:
    """Check the forecasts of each run: their number, their hash, and the columns that are the run's own.

    Parameters
    ----------
    tell
        Called with how many runs are done, and how many there are.
    """
    findings: list[Finding] = []
    rows = 0
    for done, run in enumerate(runs, start=1):
        rows += run.rows
        findings += _check_run(settings, run)
        tell(done, len(runs))
    return Checked("forecasts", rows, "rows", tuple(findings))


def _check_run(settings: Settings, run: Run) -> list[Finding]:
    try:
        rows = read_forecasts(settings.lake, run)
        whole = rows.num_rows > 0 and hash_run(rows, run.shards) == run.content_sha256
    except (pa.ArrowException, OSError) as error:
        said = f"the forecasts can't be read: {' '.join(str(error).split())[:200]}"
        return [Finding("forecasts", said, (run.run_id,), run.as_of)]
    findings = [found for name in _SHARED if (found := _check_shared(rows, run, name))]
    if whole or (not rows.num_rows and not run.rows):
        return findings
    return [*findings, *_name_cells(settings, run)]


def _check_shared(rows: pa.Table, run: Run, name: str) -> Finding | None:
    column, value = rows[name], getattr(run, name)
    same = column.is_null() if value is None else pc.fill_null(pc.equal(column, value), False)
    wrong = pc.index(same, False).as_py()
    if wrong < 0:
        return None
    said = f"{name} of a forecast is {column[wrong].as_py()}, of its run {value}"
    return Finding("forecasts", said, (run.run_id,), run.as_of, rows["symbol"][wrong].as_py(), name)


def _name_cells(settings: Settings, run: Run) -> list[Finding]:
    """Tell by a replay which cells are others than were written."""
    again = replay_run(settings, run)
    if again.outcome is Outcome.IDENTICAL:
        said = "the forecasts are those that a replay gives; the hash in the run's row is another"
        return [Finding("forecasts", said, (run.run_id,), run.as_of, column="content_sha256")]
    said = "the forecasts are not those that were written"
    if again.outcome is Outcome.IMPOSSIBLE or not again.differences:
        return [Finding("forecasts", f"{said}; no replay can name them: {again.why}", (run.run_id,), run.as_of)]
    origin = "" if again.is_same_code and again.is_same_environment else again.describe_origin()
    return [
        Finding("forecasts", f"{said}: {each.describe()}{origin}", (run.run_id,), run.as_of, each.symbol, each.column)
        for each in again.differences
    ]
