"""Scoring from the lake: what each row says, and that nothing after the session is read."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from include.errors import InputError, NotFoundError
from include.ingest.ingest import ingest_upload
from include.lake.bars import open_bars
from include.lake.files import list_sessions
from include.lake.predictions import read_newest_run, read_run, scored_sessions
from include.lake.tables import ADHOC_PREDICTIONS, BARS
from include.market.exchange import simulate_exchange, write_exchange
from include.registry.artifact import ModelVersion
from include.schema import PREDICTIONS, TARGETS, Status
from include.scoring.publish import publish_session, widen_run
from include.scoring.score import FALLBACK_REASON, build_rows, forecast_log_returns, predict_symbols, score_session
from include.scoring.universe import Universe
from include.settings import Settings
from models.market import measure_market
from tests.conftest import TrainedHome
from tests.include.backtest.cubes import build_cube, walk_bars
from tests.include.lake.commits import put_bars
from tests.include.scoring.cubes import make_cube
from tests.include.scoring.graphs import write_market_graph

LAST = date(2024, 3, 26)


@pytest.fixture
def settings(tmp_path: Path, trained_home: TrainedHome) -> Settings:
    """A home of its own whose registry is the trained one's."""
    uri = trained_home.settings.tracking_uri
    return Settings(home=tmp_path / "home", mlflow_tracking_uri=uri, _env_file=None)


def test_every_symbol_of_the_universe_has_a_row_for_each_target(trained_home: TrainedHome) -> None:
    report = score_session(trained_home.settings, LAST, run_id="here")
    rows = read_newest_run(trained_home.settings.lake, LAST)
    assert rows.schema == PREDICTIONS
    assert rows.num_rows == report.rows == 2 * sum(report.statuses.values())
    assert set(rows["as_of"].to_pylist()) == {LAST}
    assert set(rows["target_session"].to_pylist()) == {LAST + timedelta(days=1)}
    assert set(rows["bars_version"].to_pylist()) == {open_bars(trained_home.settings.lake).version()}
    assert rows["run_id"][0].as_py().startswith("here/")
    scored = rows.filter(pa.compute.field("status") == "scored")
    assert scored["predicted"].null_count == 0
    assert scored["reason"].null_count == scored.num_rows
    others = rows.filter(pa.compute.field("status") != "scored")
    assert others["reason"].null_count == 0


def test_the_score_is_the_same_when_the_lake_goes_on(settings: Settings, tmp_path: Path) -> None:
    exchange = simulate_exchange(symbols=200, sessions=60, calendar="24/7", seed=11, last_session=LAST)
    history, *later = write_exchange(exchange, tmp_path / "exchange", live_sessions=5)
    ingest_upload(settings, history)
    as_of = exchange.sessions[-6]
    then = read_run(settings.lake, as_of, score_session(settings, as_of).run_id)
    for upload in later:
        ingest_upload(settings, upload)
    now = read_run(settings.lake, as_of, score_session(settings, as_of).run_id)
    said = ["symbol", "target", "predicted", "last_close", "status", "reason", "target_session"]
    assert then.num_rows > 350
    assert then.select(said).equals(now.select(said))
    assert then["bars_version"][0] != now["bars_version"][0]


def test_a_rerun_appends_and_readers_take_the_newest(trained_home: TrainedHome) -> None:
    lake = trained_home.settings.lake
    first = score_session(trained_home.settings, LAST)
    second = score_session(trained_home.settings, LAST)
    assert first.run_id != second.run_id
    assert set(read_newest_run(lake, LAST)["run_id"].to_pylist()) == {second.run_id}
    assert read_run(lake, LAST, first.run_id).num_rows == first.rows


def test_a_session_without_bars_is_not_scored(trained_home: TrainedHome) -> None:
    with pytest.raises(NotFoundError, match="session 2031-01-01 must have bars"):
        score_session(trained_home.settings, date(2031, 1, 1))
    assert date(2031, 1, 1) not in scored_sessions(trained_home.settings.lake)


def test_prediction_at_will_takes_symbols_and_a_version(trained_home: TrainedHome) -> None:
    report = predict_symbols(trained_home.settings, LAST, symbols=["sim03"], version=1)
    run = read_run(trained_home.settings.lake, LAST, report.run_id, table=ADHOC_PREDICTIONS)
    assert run["symbol"].to_pylist() == ["sim03", "sim03"]
    assert report.model_kind == "last_close"
    assert run["predicted"].to_pylist() == pytest.approx(run["last_close"].to_pylist(), rel=1e-6)


def test_a_registry_that_is_down_stops_no_forecast_and_the_report_says_so(trained_home: TrainedHome) -> None:
    score_session(trained_home.settings, LAST)
    down = trained_home.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    report = score_session(down, LAST)
    assert report.model_version == score_session(trained_home.settings, LAST).model_version
    assert "the registry is down" in report.summary()
    assert report.rows > 0


def test_an_unknown_symbol_is_named_and_nothing_written(trained_home: TrainedHome) -> None:
    with pytest.raises(InputError, match=r"universe of session 2024-03-26\. Received: nosuch"):
        predict_symbols(trained_home.settings, LAST, symbols=["sim03", "nosuch"])


def test_one_bad_symbol_never_spoils_another(settings: Settings) -> None:
    sessions = [LAST - timedelta(days=back) for back in range(40, -1, -1)]
    prices = {"calm": 100.0, "tiny": 1e-12, "huge": 1e12, "still": 5.0}
    put_bars(settings.lake, make_bars(sessions, prices, seed=3))
    score_session(settings, LAST)
    rows = {(r["symbol"], r["target"]): r for r in read_newest_run(settings.lake, LAST).to_pylist()}
    assert {row["status"] for row in rows.values()} == {"scored"}
    assert all(0.5 < row["predicted"] / row["last_close"] < 2 for row in rows.values())
    alone = settings.model_copy(update={"home": settings.home / "alone"})
    put_bars(alone.lake, make_bars(sessions, prices, seed=3).filter(pa.compute.field("symbol") == "calm"))
    score_session(alone, LAST)
    for row in read_newest_run(alone.lake, LAST).to_pylist():
        assert row["predicted"] == pytest.approx(rows["calm", row["target"]]["predicted"], rel=1e-6)


def make_bars(sessions: list[date], prices: dict[str, float], *, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = []
    for symbol, price in prices.items():
        for session in sessions:
            step = 0.0 if symbol == "still" else rng.normal(0, 0.02)
            close = price * np.exp(step)
            row = {"symbol": symbol, "session": session, "open": price, "close": close, "volume": 10.0}
            rows.append(row | {"high": max(price, close), "low": min(price, close), "market_cap": None})
    stamp = {"upload_sha256": "0" * 64, "ingested_at": sessions[0]}
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: (row["session"], row["symbol"])))
    for name, value in stamp.items():
        table = table.append_column(name, pa.array([value] * table.num_rows))
    return table.select(BARS.schema.names).cast(BARS.schema)


def test_a_number_that_is_not_finite_becomes_the_last_close() -> None:
    cube = make_cube({"good": "xxx", "bad": "xxx"})
    universe = Universe(np.array(["scored", "scored"], object), np.array([None, None], object))
    # symbols are sorted: bad, good
    rows = build_rows(cube, universe, np.array([[np.nan, np.nan], [0.0, np.log(2.0)]])).to_pylist()
    assert [row["status"] for row in rows] == ["fallback", "fallback", "scored", "scored"]
    assert [row["reason"] for row in rows] == [FALLBACK_REASON, FALLBACK_REASON, None, None]
    assert [row["predicted"] for row in rows] == pytest.approx([1.0, 1.0, 1.0, 2.0])


def test_market_wide_columns_are_of_all_symbols_whichever_are_scored(settings: Settings, tmp_path: Path) -> None:
    names, bars = ("market_return", "cap_rank"), walk_bars(30, 20)
    graph = write_market_graph(tmp_path / "g.onnx", names, lookback=4)
    model, cube = ModelVersion("daily", 1, "market_window", 4, "0" * 64, onnx=graph), build_cube(bars[-4:])
    scored = np.arange(20) % 3 == 0
    universe = Universe(np.where(scored, "scored", "missing").astype(object), np.full(20, None, dtype=object))
    found = forecast_log_returns(settings, model, cube, universe)
    np.testing.assert_array_equal(found[scored], measure_market(bars, names)[-1][scored])
    assert np.isnan(found[~scored]).all()


def test_publishing_writes_one_row_a_symbol(trained_home: TrainedHome) -> None:
    score_session(trained_home.settings, LAST)
    csv, parquet = publish_session(trained_home.settings, LAST)
    lines = csv.read_text().splitlines()
    run = read_newest_run(trained_home.settings.lake, LAST)
    assert lines[0].replace('"', "").split(",")[:6] == [
        "symbol",
        "as_of",
        "target_session",
        "last_close",
        "pred_open",
        "pred_close",
    ]
    assert len(lines) - 1 == run.num_rows / len(TARGETS)
    assert parquet.stat().st_size > 0
    assert not list(csv.parent.glob(".*"))


def test_a_run_that_lacks_a_row_is_not_published(trained_home: TrainedHome) -> None:
    score_session(trained_home.settings, LAST)
    run = read_newest_run(trained_home.settings.lake, LAST)
    with pytest.raises(Exception, match="a symbol must have one row for each target"):
        widen_run(run.slice(1))


def test_statuses_are_the_words_of_the_schema(trained_home: TrainedHome) -> None:
    report = score_session(trained_home.settings, LAST)
    assert set(report.statuses) <= {status.value for status in Status}


def test_a_session_with_fewer_before_it_than_the_lookback_is_too_short(trained_home: TrainedHome) -> None:
    first = list_sessions(open_bars(trained_home.settings.lake))[0]
    report = predict_symbols(trained_home.settings, first)
    assert set(report.statuses) == {"too_short"}


@pytest.mark.parametrize("folder", ["with space", "plus+", "ünï"])
def test_a_lake_may_lie_in_a_folder_of_any_name(tmp_path: Path, trained_home: TrainedHome, folder: str) -> None:
    uri = trained_home.settings.tracking_uri
    settings = Settings(home=tmp_path / folder, mlflow_tracking_uri=uri, _env_file=None)
    put_bars(settings.lake, make_bars([LAST - timedelta(days=back) for back in range(9, -1, -1)], {"a": 1.0}, seed=1))
    assert score_session(settings, LAST).statuses == {"scored": 1}
