"""Which runs are meant: one by its id, the newest of a session, or all of a period."""

from __future__ import annotations

from datetime import date

from include.errors import InputError, NotFoundError
from include.lake.runs import Run, find_newest_run, find_run, list_runs, scored_sessions
from include.lake.tables import PREDICTIONS
from include.settings import Settings


def choose_run(settings: Settings, *, as_of: date | None = None, run_id: str | None = None) -> Run:
    """Return a run by its id, or the newest of a session.

    Raises
    ------
    NotFoundError
        There is none, or it is of another session.
    """
    if run_id is not None:
        run = find_run(settings.lake, run_id)
        if run is None or as_of not in (None, run.as_of):
            raise NotFoundError("a run must be there, and of this session", value=run_id, place="scoring_runs")
        return run
    sessions = [as_of] if as_of else scored_sessions(settings.lake)[-1:]
    run = find_newest_run(settings.lake, sessions[0]) if sessions else None
    if run is None:
        raise NotFoundError(f"{as_of or 'a session'} must have been scored", place=PREDICTIONS.name)
    return run


def choose_runs(
    settings: Settings, *, run_id: str | None = None, first: date | None = None, last: date | None = None
) -> list[Run]:
    """Return a run by its id, or all of the scheduled ones of a period, in the order of their commits.

    Parameters
    ----------
    first, last
        Sessions; one alone is the whole period. Without a run's id either, the newest run of all is meant.

    Raises
    ------
    InputError
        A run and a period.
    NotFoundError
        There is none.
    """
    begin, end = first or last, last or first
    if begin is None or end is None:
        return [choose_run(settings, run_id=run_id)]
    if run_id is not None:
        raise InputError("a replay is of one run, or of a period", value=run_id)
    runs = list_runs(settings.lake, first=begin, last=end)
    if not runs:
        raise NotFoundError("a session of the period must have been scored", value=f"{begin} to {end}")
    return runs
