"""A backtest of the lake's bars: which sessions, which versions may be judged on them, and every file of it."""

from __future__ import annotations

import csv
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.backtest.measures import METRICS
from include.errors import InputError, NotFoundError
from include.lake.bars import newest_session
from include.training.trial import Trial, TrialResult, run_trial
from include.training.trial_files import write_trial
from models.metrics import interval_coverage, mean_absolute_error
from tests.conftest import TrainedHome
from tests.include.registry.conftest import copy_registry


@pytest.fixture(scope="module")
def result(trained_home: TrainedHome) -> TrialResult:
    last = newest_session(trained_home.settings.lake)
    asked = Trial(("last_close", "ridge"), first=last - timedelta(days=19), last=last, origins=2, windows=2000)
    return run_trial(trained_home.settings, asked)


@pytest.fixture(scope="module")
def files(result: TrialResult, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_trial(tmp_path_factory.mktemp("trial") / "new", result)


def test_the_sessions_are_those_asked_for(result: TrialResult) -> None:
    held = result.walk.held.sessions
    assert (len(held), held[-1]) == (20, result.snapshot.last_session)
    assert [fit.holdout_from for fit in result.walk.fits["ridge"]] == [held[0], held[10]]
    assert {row["sessions"] for row in result.rows} == {"all", "last 7"}


def test_a_third_of_a_short_history_is_forecast_by_default(trained_home: TrainedHome) -> None:
    found = run_trial(trained_home.settings, Trial(("last_close",)))
    assert len(found.walk.held.sessions) == found.snapshot.sessions // 3


def test_a_version_is_judged_after_its_snapshot_alone(trained_home: TrainedHome) -> None:
    settings = trained_home.settings
    with pytest.raises(InputError, match="only be judged on sessions after its snapshot, which ends with"):
        run_trial(settings, Trial(version=2, first=newest_session(settings.lake) - timedelta(days=40)))


def test_a_version_is_judged_by_its_own_graph(trained_home: TrainedHome, tmp_path: Path) -> None:
    """The version of a home that has gone on by five sessions since, as its run says."""
    import sqlite3
    from contextlib import closing

    newest = newest_session(trained_home.settings.lake)
    own = copy_registry(trained_home, tmp_path)
    with closing(sqlite3.connect(own.mlflow_home / "mlflow.db")) as database:
        earlier = f'"{newest - timedelta(days=5)}"'
        assert database.execute("UPDATE params SET value = ? WHERE key = 'last_session'", (earlier,)).rowcount
        database.commit()
    (own.lake).symlink_to(trained_home.settings.lake)
    found = run_trial(own, Trial(version=2))
    assert found.walk.held.sessions == [newest - timedelta(days=k) for k in range(4, -1, -1)]
    assert list(found.walk.forecasts) == ["version 2 (ridge)"]
    assert {row["target"] for row in found.rows} == {"open", "close"}
    assert np.isfinite(found.walk.forecasts["version 2 (ridge)"][found.walk.held.cells]).all()


def test_what_does_not_exist_is_named(trained_home: TrainedHome) -> None:
    with pytest.raises(NotFoundError, match="model must be one of"):
        run_trial(trained_home.settings, Trial(("prophet",)))
    with pytest.raises(InputError, match=r"older ones to fit on\. Received: 0 of"):
        run_trial(trained_home.settings, Trial(first=newest_session(trained_home.settings.lake) + timedelta(days=1)))


def test_every_file_is_there(files: list[Path]) -> None:
    assert [path.name for path in files[:3]] == ["report.html", "metrics.csv", "forecasts.parquet"]
    assert sorted(path.name for path in files[0].parent.iterdir()) == sorted(path.name for path in files)


def test_the_forecasts_give_the_metrics_again(files: list[Path], result: TrialResult) -> None:
    table = pq.read_table(files[2])
    assert table.num_rows == 2 * 2 * result.walk.held.cells.sum()
    with files[1].open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["cohort"] == row["sessions"] == "all"]
    assert set(METRICS) <= rows[0].keys()
    for row in rows:
        mask = pc.and_(pc.equal(table["model"], row["model"]), pc.equal(table["target"], row["target"]))
        own = {name: table.filter(mask)[name].to_numpy() for name in ("actual", "forecast", "lower_80", "upper_80")}
        error = mean_absolute_error(own["actual"], own["forecast"])
        assert float(row["mean_absolute_error"]) == pytest.approx(error, rel=1e-8)
        coverage = interval_coverage(own["actual"], own["lower_80"], own["upper_80"])
        assert float(row["coverage_80"]) == pytest.approx(coverage, rel=1e-8)


def test_forecasts_are_of_the_symbols_and_sessions_they_name(files: list[Path], result: TrialResult) -> None:
    table = pq.read_table(files[2])
    row = table.filter(pc.equal(table["model"], "ridge")).slice(777, 1).to_pylist()[0]
    session = result.walk.held.sessions.index(row["session"])
    symbol = list(result.symbols).index(row["symbol"])
    axis = ("open", "close").index(row["target"])
    assert row["forecast"] == result.walk.forecasts["ridge"][session, symbol, axis]
    assert row["actual"] == result.walk.held.actual[session, symbol, axis]


class Addresses(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs) -> None:
        self.found += [value for key, value in attrs if key in ("src", "href")]
        assert tag not in ("script", "link", "iframe")


def test_the_page_needs_no_network(files: list[Path]) -> None:
    text = files[0].read_text()
    page = Addresses()
    page.feed(text)
    assert len(page.found) == 4
    assert all(address.startswith("data:image/png;base64,") for address in page.found)
    for heading in ("last_close", "ridge", "The last 7 sessions", "volatility decile", "age in sessions"):
        assert heading in text
