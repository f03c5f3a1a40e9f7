"""What leaves the database, and what never does."""

from __future__ import annotations

from include.alerts.incidents import Notice, Recovery, Report
from include.alerts.outbox import list_waiting, mark_sent
from include.alerts.overview import read_overview
from include.alerts.record import record
from include.alerts.retention import remove_old
from include.alerts.store import open_store
from include.settings import Settings
from tests.include.alerts.scenes import NOON, make_incident


def keep(settings: Settings, *reports: Report, now: float = NOON) -> None:
    for report in reports:
        with open_store(settings, report.key) as connection:
            record(connection, settings, report, now)


def test_what_is_over_and_told_goes_and_all_else_stays(settings: Settings) -> None:
    assert remove_old(settings, NOON) == 0
    assert not settings.alerts.exists()
    keep(settings, make_incident("run_failed/over"), Recovery("run_failed/over"), Notice("test/1", "test", "told"))
    with open_store(settings) as connection:
        mark_sent(connection, list_waiting(connection), NOON)
    keep(settings, make_incident("run_failed/open"), Notice("test/2", "test", "waits"))
    keep(settings, make_incident("run_failed/young"), Recovery("run_failed/young"), now=NOON + 90)
    assert remove_old(settings, NOON) == 0
    assert remove_old(settings, NOON + 60) == 2
    left = {each.key for each in read_overview(settings, NOON, every=True).episodes}
    assert left == {"run_failed/open", "test/2", "run_failed/young"}
