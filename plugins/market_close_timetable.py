"""A timetable that runs a DAG once a session, a delay after the exchange's close.

The session is the run's partition key, an ISO date: tasks read it in a template as `{{ partition_key }}`, it can be
posted when a run is triggered, and asset events carry it on. A session belongs to a DAG whose `start_date` lies before
its close and whose `end_date`, as a date in UTC, is not before the session. A partition's date is its session at
midnight UTC, so `airflow backfill create --from-date 2016-11-21 --to-date 2016-11-25` runs these sessions, both ends
included, holidays left out.

exchange_calendars is imported where it is used, and no calendar is kept: it would end a year after it was built.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.exceptions import AirflowTimetableInvalid, InvalidPartitionKeyError
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.utils.strings import get_random_string

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction
    from airflow.utils.types import DagRunType
    from pendulum import DateTime


class MarketCloseTimetable(Timetable):
    """One run a session, at its close and a delay.

    Parameters
    ----------
    calendar
        A name that exchange_calendars knows: 24/7, XNYS, ...
    delay_s
        Seconds from the close to the run, 0 or more: the time an upload takes to come.
    """

    partitioned = True
    run_ordering = ("partition_date", "run_after")

    def __init__(self, calendar: str = "24/7", delay_s: int = 60) -> None:
        self.calendar, self.delay_s = calendar, delay_s
        self.description = f"At every close of {calendar} and {delay_s} s"

    @property
    def summary(self) -> str:
        """Name the calendar and the delay in the list of DAGs."""
        return f"{self.calendar} close + {self.delay_s} s"

    def serialize(self) -> dict[str, Any]:
        """Give what `deserialize` needs."""
        return {"calendar": self.calendar, "delay_s": self.delay_s}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MarketCloseTimetable:
        """Make the timetable again from what `serialize` gave."""
        return cls(calendar=data["calendar"], delay_s=data["delay_s"])

    def validate(self) -> None:
        """Refuse a negative delay when the DAG is parsed.

        An unknown calendar is found by the scheduler: to build one here would cost every task, which parses its DAG
        before it runs, a second.
        """
        if self.delay_s < 0:
            raise AirflowTimetableInvalid(f"delay_s must be 0 or more. Received: {self.delay_s}")

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Give the run of the session after the last one, of the first allowed, or (no catch-up) of the newest closed.

        Parameters
        ----------
        last_dagrun_info
            The last scheduled or backfilled run, if any.
        restriction
            `start_date`, `end_date` and `catchup` of the DAG.

        Returns
        -------
        DagRunInfo or None
            None where no session is left before `end_date`.
        """
        from include.market.sessions import newest_closed_session, next_session

        now = datetime.now(UTC)
        candidates = [] if restriction.catchup else [newest_closed_session(self.calendar, now)]
        if last_dagrun_info is not None:
            candidates.append(next_session(self.calendar, self._session_of(last_dagrun_info)))
        if restriction.earliest is not None:
            candidates.append(self._first_closing_after(restriction.earliest))
        session = max(candidates, default=newest_closed_session(self.calendar, now))
        if restriction.latest is not None and session > restriction.latest.astimezone(UTC).date():
            return None
        return self._info(session)

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """Yield the run of every closed session whose midnight UTC lies in [earliest, latest], for a backfill.

        A session that has not closed has no run yet: the schedule makes it, and a second one would be a double.
        """
        from include.market.sessions import newest_closed_session, sessions_between

        last = min(latest.astimezone(UTC).date(), newest_closed_session(self.calendar, datetime.now(UTC)))
        for session in sessions_between(self.calendar, earliest.astimezone(UTC).date(), last):
            if (info := self._info(session)).partition_date >= earliest:
                yield info

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Give a run that was triggered with a logical date that moment; its session comes from key or parameter."""
        return DataInterval.exact(run_after)

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """Name a run by its session (or, without one, its moment).

        The random end keeps a second run of a session, which a backfill may ask for, from colliding with the first.
        """
        label = extra.get("partition_key") or run_after.isoformat()
        return run_type.generate_run_id(suffix=f"{label}__{get_random_string()}")

    def _decode_partition_date(self, partition_key: str) -> DateTime:
        """Read a posted partition key; Airflow answers a refusal with what this says."""
        from include.market.sessions import is_session

        try:
            session = date.fromisoformat(partition_key)
        except ValueError as error:
            rule = f"partition_key must be a session as YYYY-MM-DD. Received: {partition_key}"
            raise InvalidPartitionKeyError(rule) from error
        if not is_session(self.calendar, session):
            rule = f"partition_key must be a session of {self.calendar}. Received: {partition_key}"
            raise InvalidPartitionKeyError(rule)
        return _midnight(session)

    def _session_of(self, info: DagRunInfo) -> date:
        """Read the session of an earlier run; one made on another timetable counts for the newest closed by then."""
        from include.market.sessions import newest_closed_session

        if info.partition_date is not None:
            return info.partition_date.astimezone(UTC).date()
        return newest_closed_session(self.calendar, info.run_after)

    def _first_closing_after(self, moment: datetime) -> date:
        """Find the first session that closes after a moment: a run must not lie before `start_date`."""
        from include.market.sessions import next_session, session_close

        session = next_session(self.calendar, moment.astimezone(UTC).date() - timedelta(days=3))
        while session_close(self.calendar, session) <= moment:
            session = next_session(self.calendar, session)
        return session

    def _info(self, session: date) -> DagRunInfo:
        from include.market.sessions import session_close

        run_after = session_close(self.calendar, session) + timedelta(seconds=self.delay_s)
        return DagRunInfo(
            run_after=pendulum.instance(run_after),
            data_interval=None,
            partition_date=_midnight(session),
            partition_key=session.isoformat(),
        )


def _midnight(session: date) -> DateTime:
    return pendulum.datetime(session.year, session.month, session.day)


class MarketClosePlugin(AirflowPlugin):
    """Make the timetable known to the scheduler, which builds it again from the stored DAG."""

    name = "market_close_timetable"
    timetables = (MarketCloseTimetable,)
