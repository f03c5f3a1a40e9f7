"""Forecasts that are not out by their deadline."""

from __future__ import annotations

from pathlib import Path

from include.alerts.episodes import CLOSED
from include.alerts.overview import read_overview
from include.alerts.report import report_recovery
from include.monitoring.late import report_late
from include.scoring.publish import publish_session
from include.settings import Settings
from tests.include.monitoring.scenes import day, put_session, put_truth


def test_what_is_missing_is_named_the_upload_or_the_forecasts(settings: Settings, tmp_path: Path) -> None:
    put_truth(settings, tmp_path, ["A", "B"], range(3))
    assert report_late(settings, day(9)) == "upload_missing"
    put_session(settings, tmp_path, day(3), {"A": 1.0, "B": 2.0})
    assert report_late(settings, day(3), run="https://airflow.example/r") == "forecasts_missing"
    found = {each.key: each for each in read_overview(settings, 0.0).episodes}
    assert set(found) == {f"upload_missing/{day(9)}", f"forecasts_missing/{day(3)}"}
    missing = found[f"forecasts_missing/{day(3)}"]
    assert missing.cause == "The deadline, 4 h after its run was due, has passed. Its upload is here."
    assert missing.links.run == "https://airflow.example/r"


def test_what_a_person_has_closed_is_not_told_again_by_its_deadline(settings: Settings, tmp_path: Path) -> None:
    put_truth(settings, tmp_path, ["A", "B"], range(3))
    assert report_late(settings, day(9)) == "upload_missing"
    report_recovery(settings, f"upload_missing/{day(9)}", note=f"{CLOSED}ada: a holiday")
    assert report_late(settings, day(9)) is None
    assert read_overview(settings, 0.0).episodes == []
    assert report_late(settings, day(8)) == "upload_missing"


def test_what_is_out_is_not_late(settings: Settings, tmp_path: Path) -> None:
    put_truth(settings, tmp_path, ["A", "B"], range(3))
    publish_session(settings, day(1))
    assert report_late(settings, day(1)) is None
    assert not settings.alerts.exists()
