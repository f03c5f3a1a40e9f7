"""What is told of a session though nothing failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from include import tasks
from include.alerts.episodes import Episode, find_newest, list_open
from include.alerts.store import open_store
from include.ingest.ingest import ingest_upload
from include.monitoring.notices import has_grown, tell_jumps, tell_published, watch_quarantine
from include.monitoring.outcomes import settle
from include.scoring.publish import publish_session
from include.settings import Settings
from tests.include.lake.rows import forecast_row, put_forecasts
from tests.include.monitoring.scenes import HEADER, day, put_session, put_truth


def read(settings: Settings, key: str) -> Episode | None:
    with open_store(settings) as connection:
        return find_newest(connection, key)


def put_upload(settings: Settings, folder: Path, number: int, *, bad: int, good: int = 20) -> None:
    """Ingest a session of which some rows have no price."""
    rows = [f"S{at},{day(number)},1,1,1,1,1,1\n" for at in range(good)]
    rows += [f"B{at},{day(number)},,,,,1,1\n" for at in range(bad)]
    path = folder / f"{day(number)}.csv"
    path.write_text(HEADER + "".join(rows))
    ingest_upload(settings, path)


@pytest.mark.parametrize(
    ("shares", "grown"),
    [
        ([0.0], False),
        ([0.005], False),  # below what is anybody's concern
        ([0.02], True),  # with nothing to compare with
        ([0.02, 0.02, 0.02, 0.02, 0.02, 0.05], False),
        ([0.02, 0.02, 0.02, 0.02, 0.02, 0.07], True),
        ([0.02, 0.02, 0.9, 0.02, 0.02, 0.05], False),  # one bad day is not usual
        ([0.5] * 20 + [0.0], False),
    ],
)
def test_more_than_usual(shares: list[float], grown: bool) -> None:
    assert has_grown(shares) is grown


def test_a_growing_quarantine_is_an_incident_that_ends(settings: Settings, tmp_path: Path) -> None:
    put_upload(settings, tmp_path, 0, bad=0)
    assert not watch_quarantine(settings)
    put_upload(settings, tmp_path, 1, bad=5)
    assert watch_quarantine(settings)
    assert watch_quarantine(settings)
    found = read(settings, "quarantine_growing/uploads")
    assert found is not None
    assert found.summary == f"{day(1)}.csv: 5 of 25 rows were refused"
    assert found.cause == "20.00% of the rows; in the uploads before 0.00%"
    put_upload(settings, tmp_path, 2, bad=0)
    assert not watch_quarantine(settings)
    with open_store(settings) as connection:
        assert list_open(connection) == []


def test_a_home_without_uploads_has_none_that_grow(settings: Settings) -> None:
    assert not watch_quarantine(settings)
    assert not settings.alerts.exists()


def test_a_jump_is_named_and_told_once(settings: Settings, tmp_path: Path) -> None:
    closes = {"<!channel>": 100.0, "DOWN": 100.0, "CALM": 100.0}
    put_session(settings, tmp_path, day(0), closes)
    shared = {"as_of": day(0), "target_session": day(1), "run_id": "run"}
    targets = ("open", "close")
    put_forecasts(
        settings.lake, [forecast_row(name, target, 100.0, 100.0, **shared) for name in closes for target in targets]
    )
    put_session(settings, tmp_path, day(1), {"<!channel>": 1001.0, "DOWN": 9.0, "CALM": 900.0})
    settle(settings, day(1))
    assert tell_jumps(settings, day(1)) == ["DOWN", "<!channel>"]
    tell_jumps(settings, day(1))
    found = read(settings, f"symbol_jump/{day(1)}")
    assert found is not None
    assert (found.status, found.count, found.cause) == ("notice", 1, "DOWN, <!channel>")


def test_forecasts_that_are_out_are_told_in_one_line_where_the_setting_wants_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_truth(settings, tmp_path, ["A", "B"], range(4))
    monkeypatch.setattr(tasks, "load_settings", lambda: settings)
    tasks.publish(str(day(2)))
    assert not settings.alerts.exists()
    told = settings.model_copy(update={"alerts_on": "forecasts_published"})
    publish_session(told, day(2))
    tell_published(told, day(2))
    found = read(told, f"forecasts_published/{day(2)}")
    assert found is not None
    assert found.summary == f"Forecasts of session {day(2)} are out: 2 of 2 symbols"
    assert "close: 0." in found.cause
    assert "80 % intervals cover" in found.cause
