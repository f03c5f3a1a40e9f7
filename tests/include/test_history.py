"""Sessions lived again are forecast as they were, also where models changed and bars were corrected since."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from include.errors import InputError
from include.forecast import forecast_session
from include.history import simulate_history
from include.ingest.ingest import ingest_upload
from include.lake.predictions import read_newest_run
from include.market.exchange import simulate_exchange, write_exchange
from include.registry.promote import promote_version
from include.registry.versions import list_versions
from include.settings import Settings
from include.training.train import train

LAST = date(2024, 3, 26)
DAYS = [LAST + timedelta(days=number) for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three sessions forecast as they came; a retrain and a promotion behind the second; then an old bar corrected."""
    home = tmp_path_factory.mktemp("lived") / "home"
    settings = Settings(home=home, train_windows=5000, holdout_sessions=20, backtest_origins=1, _env_file=None)
    exchange = simulate_exchange(symbols=80, sessions=80, calendar="24/7", seed=5, last_session=DAYS[-1])
    history, *uploads = write_exchange(exchange, home.parent / "exchange", live_sessions=3)
    ingest_upload(settings, history)
    train(settings, who="tests", names=["last_close", "ridge"], promote=False)
    promote_version(settings, 2, who="tests", why="the first ridge")
    for day, arrived in zip(DAYS, uploads, strict=True):
        ingest_upload(settings, arrived)
        forecast_session(settings, day, asked_by="live")
        if day == DAYS[1]:
            found = train(settings, who="tests", names=["last_close", "ridge"], last_session=day, promote=False)
            assert found.serving is None
            newer = max(row.version for row in list_versions(settings) if row.kind == "ridge")
            promote_version(settings, newer, who="tests", why="the newer ridge")
    upload = home / "correction.csv"
    upload.write_text(f"symbol,date,open,high,low,close,volume,market_cap\nsim03,{DAYS[0]},1,900,1,900,5,5\n")
    ingest_upload(settings, upload)
    return settings


def test_the_forecasts_are_those_that_were_published(lived: Settings, tmp_path: Path) -> None:
    found = simulate_history(lived, tmp_path / "again", DAYS[0], DAYS[-1], on_progress=lambda *said: None)
    assert found.retrained[-1] == DAYS[1]
    assert [each.session for each in found.compared] == DAYS
    for each in found.compared:
        assert each.rows == each.published == each.identical
        assert each.largest_difference == 0.0
    assert "came out the same" in found.summary()
    versions = [
        read_newest_run(home, day)["model_kind"][0].as_py()
        for home in (lived.lake, found.home / "lake")
        for day in DAYS
    ]
    assert versions == ["ridge"] * 6


def test_a_try_that_fails_leaves_its_folder_empty_for_the_next(lived: Settings, tmp_path: Path) -> None:
    folder, said = tmp_path / "again", []

    def tell(done: int, _: int, words: str) -> None:
        said.append(words)
        if done == 2:
            raise KeyboardInterrupt

    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        simulate_history(lived, folder, DAYS[0], DAYS[-1], on_progress=tell)
    assert list(folder.iterdir()) == []
    assert said[1] == str(DAYS[0])
    assert re.fullmatch(rf"{DAYS[1]}, \d+\.\d s a session, \d+ s left", said[2])


def test_a_folder_that_holds_anything_is_left_alone(lived: Settings, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(InputError, match="must be empty"):
        simulate_history(lived, tmp_path, DAYS[0], DAYS[-1], on_progress=lambda *said: None)
    with pytest.raises(InputError, match="one before the first"):
        simulate_history(lived, tmp_path / "x", date(2030, 1, 1), date(2030, 1, 2), on_progress=lambda *said: None)
