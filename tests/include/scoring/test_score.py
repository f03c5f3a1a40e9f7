"""Scoring from the lake: what each row says, and that nothing after the session is read."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from include.errors import ClosecastError, InputError, NotFoundError
from include.ingest.ingest import ingest_upload
from include.lake import runs
from include.lake.bars import open_bars
from include.lake.files import list_sessions
from include.lake.predictions import read_newest_run, read_run
from include.lake.runs import find_newest_run, find_run, hash_run, require_run, scored_sessions
from include.lake.tables import ADHOC_PREDICTIONS, BARS
from include.market.exchange import simulate_exchange, write_exchange
from include.schema import PREDICTIONS, TARGETS, Status
from include.scoring.plan import plan_folder
from include.scoring.publish import publish_session, widen_run
from include.scoring.rows import FALLBACK_REASON, Forecasts, build_rows, check_rows
from include.scoring.score import begin_run, finish_run, predict_symbols, score_part, score_session
from include.scoring.universe import Universe
from include.settings import Settings
from tests.conftest import TrainedHome
from tests.include.lake.commits import put_bars
from tests.include.scoring.cubes import make_cube

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
    with pytest.raises(InputError, match=r"universe of session 2024-03-26 .* Received: nosuch"):
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
    log_returns = np.array([[[np.nan, np.nan]], [[0.0, np.log(2.0)]]])
    forecasts = Forecasts(log_returns, np.full((2, 2), 0.1), np.full((2, 1, 2, 4), np.nan))
    rows = build_rows(cube, universe, forecasts, [LAST]).to_pylist()
    assert [row["status"] for row in rows] == ["fallback", "fallback", "scored", "scored"]
    assert [row["reason"] for row in rows] == [FALLBACK_REASON, FALLBACK_REASON, None, None]
    assert [row["predicted"] for row in rows] == pytest.approx([1.0, 1.0, 1.0, 2.0])


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


def test_forecasts_do_not_depend_on_shards_threads_or_other_symbols(trained_home: TrainedHome) -> None:
    settings = trained_home.settings
    said = ["symbol", "target", "status", "reason", "last_close"]
    once = read_newest_run(settings.lake, score_session(settings, LAST).as_of)
    for changed in ({"shards": 1}, {"shards": 4}, {"threads": 1}):
        other = settings.model_copy(update=changed)
        report = score_session(other, LAST)
        run = read_run(settings.lake, LAST, report.run_id)
        again = run.sort_by([("symbol", "ascending"), ("target", "descending")])
        before = once.sort_by([("symbol", "ascending"), ("target", "descending")])
        assert again.select(said).equals(before.select(said))
        numbers = [np.array(rows["predicted"].to_pylist(), dtype=float) for rows in (before, again)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-6)
        if changed == {"shards": 1}:
            np.testing.assert_array_equal(numbers[0], numbers[1])
        assert hash_run(run, other.shards) == require_run(settings.lake, LAST, run_id=report.run_id).content_sha256


def test_shards_in_processes_of_their_own_make_one_run(trained_home: TrainedHome) -> None:
    settings = trained_home.settings.model_copy(update={"shards": 3})
    before = require_run(settings.lake, LAST) if LAST in scored_sessions(settings.lake) else None
    plan = begin_run(settings, LAST, asked_by="market_close/here")
    rows = sum(score_part(settings, plan.run_id, shard) for shard in range(3))
    score_part(settings, plan.run_id, 1)  # a try that is made again
    assert find_newest_run(settings.lake, LAST) == before
    report = finish_run(settings, plan.run_id)
    run = read_newest_run(settings.lake, LAST)
    assert report.rows == rows == run.num_rows
    assert hash_run(run, 3) == require_run(settings.lake, LAST).content_sha256
    assert not list(settings.scoring.glob("*"))
    with pytest.raises(NotFoundError, match="a run must be planned"):
        finish_run(settings, plan.run_id)


def test_a_part_scored_again_after_its_files_were_committed_doubles_no_row(
    trained_home: TrainedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = trained_home.settings.model_copy(update={"shards": 3})
    plan = begin_run(settings, LAST, asked_by="market_close/died")
    rows = sum(score_part(settings, plan.run_id, shard) for shard in range(3))

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "append_rows", die)  # the forecasts are in their table, the run is not
        with pytest.raises(KeyboardInterrupt):
            finish_run(settings, plan.run_id)
    assert score_part(settings, plan.run_id, 1) > 0
    finish_run(settings, plan.run_id)
    run = read_newest_run(settings.lake, LAST)
    assert run.num_rows == rows
    assert hash_run(run, 3) == require_run(settings.lake, LAST).content_sha256


def test_a_run_without_all_of_its_shards_is_not_committed(trained_home: TrainedHome) -> None:
    settings = trained_home.settings.model_copy(update={"shards": 3})
    plan = begin_run(settings, LAST, asked_by="market_close/half")
    for shard in (0, 2):
        score_part(settings, plan.run_id, shard)
    with pytest.raises(NotFoundError, match=r"each shard of a run must be scored\. Received: 1"):
        finish_run(settings, plan.run_id)
    assert find_run(settings.lake, plan.run_id) is None
    shutil.rmtree(plan_folder(settings, plan.run_id))


def test_a_row_that_dropped_out_is_noticed(trained_home: TrainedHome) -> None:
    score_session(trained_home.settings, LAST)
    run = read_newest_run(trained_home.settings.lake, LAST)
    symbols = run.num_rows // 2
    check_rows(run, symbols=symbols, horizons=1)
    with pytest.raises(ClosecastError, match=f"each of {symbols} symbols, 1 horizons and 2 targets"):
        check_rows(run.slice(1), symbols=symbols, horizons=1)
    spoilt = run.set_column(run.schema.get_field_index("predicted"), "predicted", pa.nulls(run.num_rows, pa.float64()))
    with pytest.raises(ClosecastError, match="a scored row must have a price"):
        check_rows(spoilt, symbols=symbols, horizons=1)
