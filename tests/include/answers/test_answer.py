"""Answers to uploads: what each row says, what becomes of dirt, and that the same question has the same answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from include import tasks
from include.answers.answer import predict_upload
from include.answers.record import AnswerReport
from include.answers.trail import NO_BARS
from include.errors import InputError, NotFoundError
from include.lake.bars import open_bars, read_cube, sessions_up_to
from include.lake.predictions import read_run
from include.lake.reads import read_all
from include.lake.tables import ADHOC_PREDICTIONS, PREDICTIONS, table_version
from include.registry.artifact import ModelVersion
from include.scoring.score import predict_symbols
from include.settings import Settings
from tests.conftest import TrainedHome
from tests.include.scoring.graphs import write_market_graph

FIRST = date(2024, 1, 1)
HEADER = "symbol,date,open,high,low,close,volume,market"
LOOKBACK = 10
"""Of the trained home's ridge."""

Ask = Callable[..., tuple[AnswerReport, pd.DataFrame]]


@pytest.fixture
def settings(tmp_path: Path, trained_home: TrainedHome) -> Settings:
    """A home of its own, without a lake, whose registry is the trained one's."""
    uri = trained_home.settings.tracking_uri
    return Settings(home=tmp_path / "home", mlflow_tracking_uri=uri, _env_file=None)


@pytest.fixture
def ask(settings: Settings, tmp_path: Path) -> Ask:
    """Answer lines below HEADER (or any bytes) and read the answer as the chart does."""

    def answer(content: list[str] | bytes, **options: object) -> tuple[AnswerReport, pd.DataFrame]:
        path = tmp_path / "upload.csv"
        whole = content if isinstance(content, bytes) else "\n".join([HEADER, *content, ""]).encode()
        path.write_bytes(whole)
        report = predict_upload(settings, path, **options)  # type: ignore[arg-type]
        return report, read_chart(report.answer)

    return answer


def read_chart(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).set_index(["symbol", "index"])


def make_lines(symbol: str, days: range | list[int], *, price: float = 100.0) -> list[str]:
    rng = np.random.default_rng(len(symbol))
    lines = []
    for day in days:
        opened, closed = price * np.exp(rng.normal(0, 0.02, 2))
        high, low = max(opened, closed) * 1.01, min(opened, closed) * 0.99
        lines.append(f"{symbol},{FIRST + timedelta(days=day)},{opened!s},{high!s},{low!s},{closed!s},10,1000")
    return lines


def test_rows_are_forecast_from_the_rows_before_them_and_the_session_after_the_last_too(ask: Ask) -> None:
    report, chart = ask(make_lines("BTC", range(12)))
    rows = chart.xs("BTC")
    assert report.answer.read_text().splitlines()[0].replace('"', "").startswith("symbol,index,date,pred_open,val_open")
    assert rows.index.tolist() == list(range(13))
    assert rows["date"].tolist() == [str(FIRST + timedelta(days=day)) for day in range(13)]
    assert rows["status"].tolist() == ["too_short"] * 8 + ["scored"] * 5
    assert rows["pred_open"].isna().tolist() == [True] * 8 + [False] * 5
    assert rows["val_open"].isna().tolist() == [False] * 12 + [True]
    assert rows["reason"][2] == "2 of the 10 sessions before it present, at least 8 are needed"
    assert (rows["pred_open"] / rows["last_close"])[8:].between(0.5, 2).all()
    assert rows["last_close"][1:].tolist() == rows["val_close"][:-1].tolist()
    assert report.statuses == {"scored": 5, "too_short": 8}


def test_a_forecast_does_not_change_when_what_came_after_does(ask: Ask) -> None:
    lines = make_lines("BTC", range(20)) + make_lines("ETH", range(20), price=7.0)
    _, chart = ask(lines)
    _, shorter = ask([line for line in lines if line.split(",")[1] <= str(FIRST + timedelta(days=11))])
    for symbol in ("BTC", "ETH"):
        assert shorter.xs(symbol)["pred_open"][:12].equals(chart.xs(symbol)["pred_open"][:12])
        assert shorter.xs(symbol)["pred_open"][12] == pytest.approx(chart.xs(symbol)["pred_open"][12], rel=1e-6)


def test_the_lakes_own_rows_get_the_forecasts_of_scoring(
    trained_home: TrainedHome, settings: Settings, ask: Ask
) -> None:
    as_of = date(2024, 3, 20)
    written = shutil.ignore_patterns("promotions", "predictions", "adhoc_predictions", "scoring_runs", "calibrations")
    shutil.copytree(trained_home.settings.lake, settings.lake, ignore=written)
    bars = open_bars(settings.lake)
    sessions = sessions_up_to(bars, as_of, count=LOOKBACK + 2)
    cube = read_cube(bars, sessions)
    lines = [
        ",".join([symbol, str(session), *("" if np.isnan(cell) else str(cell) for cell in cube.values[at, code])])
        for at, session in enumerate(sessions)
        for code, symbol in enumerate(cube.symbols)
        if cube.mask[at, code]
    ]
    report, chart = ask(lines)
    scored = predict_symbols(settings, as_of)
    run = read_run(settings.lake, as_of, scored.run_id, table=ADHOC_PREDICTIONS).to_pylist()
    wanted = {row["symbol"]: row["predicted"] for row in run if row["target"] == "open" and row["status"] == "scored"}
    newest = chart[chart["date"] == str(as_of + timedelta(days=1))].reset_index().set_index("symbol")
    assert len(wanted) > 60
    assert report.model_version == scored.model_version
    for symbol, predicted in wanted.items():
        assert newest["pred_open"][symbol] == pytest.approx(predicted, rel=1e-5), symbol


def test_a_gap_is_seen_as_in_the_lake_and_a_long_one_has_no_forecast(ask: Ask) -> None:
    short, long = [*range(9), 11, 12], [*range(9), *range(14, 24)]
    _, chart = ask(make_lines("ALL", range(24)) + make_lines("SHORT", short) + make_lines("LONG", long))
    rows = chart.xs("SHORT")
    assert rows["status"].tolist()[8:] == ["scored"] * 4
    assert rows["as_of"][9] == str(FIRST + timedelta(days=8))
    rows = chart.xs("LONG")
    assert rows["status"][9] == "missing"
    assert rows["reason"][9] == "no row for 5 session(s) before it, at most 2 may be missing"
    assert rows["status"][10] == "too_short"
    assert rows["status"].tolist()[-3:] == ["scored"] * 3


def test_the_trail_holds_every_forecast_and_what_was_read(settings: Settings, ask: Ask) -> None:
    report, chart = ask(make_lines("BTC", range(12)) + make_lines("ETH", range(12)), run_id="desk")
    rows = read_all(settings.lake, ADHOC_PREDICTIONS)
    assert rows.num_rows == report.predictions == 2 * chart["pred_open"].notna().sum() == 20
    assert rows["run_id"].unique().to_pylist() == [report.run_id]
    assert report.run_id.startswith("desk/")
    assert rows["upload_sha256"].unique().to_pylist() == [report.sha256]
    assert rows["bars_version"].unique().to_pylist() == [NO_BARS]
    wanted = chart.reset_index().set_index(["symbol", "date"])
    for row in rows.to_pylist():
        said = wanted.loc[(row["symbol"], str(row["target_session"]))]
        assert row["predicted"] == said[f"pred_{row['target']}"]
        assert str(row["as_of"]) == said["as_of"]
    assert table_version(settings.lake, PREDICTIONS) is None
    assert Path(report.kept).read_bytes() == (settings.home.parent / "upload.csv").read_bytes()


def test_the_same_question_has_the_same_answer_and_no_second_trail(settings: Settings, ask: Ask) -> None:
    lines = make_lines("BTC", range(12))
    first, _ = ask(lines)
    again, _ = ask(lines)
    assert again.already
    assert "the answer was there" in again.summary()
    assert (again.run_id, again.answer) == (first.run_id, first.answer)
    other, _ = ask(lines, version=1)
    assert not other.already
    assert other.answer != first.answer
    assert read_all(settings.lake, ADHOC_PREDICTIONS).num_rows == first.predictions + other.predictions


def test_a_future_date_is_there_with_its_reason_and_is_asked_again(ask: Ask) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    lines = [*make_lines("BTC", range(12)), f"BTC,{tomorrow},1,1,1,1,1,1"]
    report, chart = ask(lines)
    row = chart.xs("BTC").iloc[-1]
    assert (row["date"], row["status"]) == (str(tomorrow), "quarantined")
    assert row["reason"] == "row 13: the session must have closed"
    assert np.isnan(row["pred_open"])
    assert not report.is_final
    assert not ask(lines)[0].already


def test_a_row_for_the_session_after_the_last_gives_way_to_its_forecast(ask: Ask) -> None:
    lines = [*make_lines("BTC", range(12)), f"BTC,{FIRST + timedelta(days=12)},x,1,1,1,1,1"]
    report, chart = ask(lines)
    assert chart.xs("BTC")["status"].tolist()[-1] == "scored"
    assert len(chart) == 13
    assert report.rows_refused == 1


def test_refused_rows_name_row_column_and_rule(ask: Ask) -> None:
    lines = make_lines("BTC", range(12))
    lines[3] = lines[3].replace("10,1000", "ten,1000")
    lines[5] = f"BTC,{FIRST + timedelta(days=5)},-1,2,-2,1,1,1"
    lines.append(f",{FIRST},1,1,1,1,1,1")
    report, chart = ask(lines)
    reasons = chart.xs("BTC")["reason"]
    assert reasons[3] == "row 4: volume must be a number. Received: 'ten'"
    assert reasons[5] == "row 6: prices must be greater than zero and finite as float32"
    refused = pacsv.read_csv(report.refused).to_pylist()
    assert {(row["row_number"], row["expectation"]) for row in refused} == {
        (4, "number_is_readable"),
        (6, "prices_positive"),
        (13, "symbol_not_null"),
    }
    assert chart.index.is_unique


def test_of_duplicates_one_stands_and_the_chart_is_not_broken(ask: Ask) -> None:
    lines = make_lines("BTC", range(12))
    other = lines[4].replace("10,1000", "9,1000")
    report, chart = ask([*lines, lines[2], other])
    clean = ask(lines)[1]
    assert chart.equals(clean)
    assert (report.duplicates, report.rows_refused) == (1, 1)
    assert pacsv.read_csv(report.refused)["row_number"].to_pylist() == [14]


@pytest.mark.parametrize("symbol", ["a,b", 'say "x"', "ünï 币", "'", "=1+1", "<b>"])
def test_symbols_come_back_as_they_came(ask: Ask, symbol: str) -> None:
    quoted = '"' + symbol.replace('"', '""') + '"'
    lines = [line.replace("SYM,", f"{quoted},", 1) for line in make_lines("SYM", range(12))]
    _, chart = ask(lines)
    assert chart.xs(symbol)["pred_open"].notna().sum() == 5


def test_one_row_is_an_answer_of_two(ask: Ask) -> None:
    _, chart = ask(make_lines("BTC", range(1)))
    assert chart.xs("BTC")["status"].tolist() == ["too_short", "too_short"]
    assert chart["pred_open"].isna().all()


def test_an_upload_of_refused_rows_alone_is_answered_by_reasons(settings: Settings, ask: Ask) -> None:
    report, chart = ask(["BTC,2024-01-01,a,b,c,d,e,f", "ETH,2024-01-02,a,b,c,d,e,f"])
    assert chart["status"].tolist() == ["quarantined"] * 2
    assert chart["reason"].str.contains("open must be a number. Received: 'a'").all()
    assert report.predictions == 0
    assert table_version(settings.lake, ADHOC_PREDICTIONS) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an upload must not be empty"),
        (HEADER.encode() + b"\n", "an upload must have at least one row"),
        (b"symbol,date,open,high,low\nBTC,2024-01-01,1,1,1\n", "an upload must have a column for close, named close"),
        (HEADER.encode() + b"\nB\xff,2024-01-01,1,1,1,1,1,1\n", r"must be UTF-8 text.*line 2"),
        (HEADER.encode() + b"\nA,2024-01-01,1,1,1,1,1,1\nA,1/13/2024,1,1,1,1,1,1\n", r"date.*1/13/2024"),
        (HEADER.encode() + b"\nA,1/13/2024,1,1,1,1,1,1\nA,13/1/2024,1,1,1,1,1,1\n", r"13/1/2024"),
        (HEADER.encode() + b"\nword,word,word,word,word,word,word,word\n", r"date.*Received: 'word'"),
    ],
)
def test_an_upload_that_breaks_a_rule_is_refused_and_leaves_nothing(
    settings: Settings, ask: Ask, content: bytes, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ask(content)
    assert not settings.answers.exists()
    assert table_version(settings.lake, ADHOC_PREDICTIONS) is None
    assert not settings.kept.exists()


def test_a_version_that_is_not_there_is_not_found(ask: Ask) -> None:
    with pytest.raises(NotFoundError):
        ask(make_lines("BTC", range(3)), version=99)


def test_market_wide_columns_are_of_the_uploads_own_symbols(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = write_market_graph(tmp_path / "g.onnx", ("market_return", "cap_rank"), lookback=4)
    model = ModelVersion("closecast", 7, "market_window", 4, "0" * 64, onnx=graph)
    monkeypatch.setattr("include.answers.answer.resolve_version", lambda settings, version: model)
    _, chart = ask([line for symbol in ("A", "B") for line in make_lines(symbol, range(12))])
    last = chart[chart["val_open"].isna()]
    assert last["status"].tolist() == ["scored", "scored"]
    assert np.isfinite(last[["pred_open", "pred_close"]].to_numpy()).all()


def test_what_is_too_much_for_memory_goes_by_files_and_says_the_same(
    ask: Ask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for symbol in ("C", "A", "B") for line in make_lines(symbol, range(12))]
    first, whole = ask(lines)
    rows = read_all(settings.lake, ADHOC_PREDICTIONS)
    first.answer.unlink()
    monkeypatch.setattr("include.answers.blocks._GROUP_ROWS", 6)
    monkeypatch.setattr("include.answers.trail.HELD_ROWS", 5)
    monkeypatch.setattr("include.answers.sheet._PART_ROWS", 20)
    monkeypatch.setattr("include.answers.sheet._BUDGET_BYTES", 100)
    second, chart = ask(lines)
    pd.testing.assert_frame_equal(chart, whole, rtol=1e-6)
    added = read_all(settings.lake, ADHOC_PREDICTIONS).filter(pa.compute.field("run_id") == second.run_id)
    keys = ["as_of", "target_session", "symbol", "target", "last_close", "status", "reason"]
    order = [(name, "ascending") for name in keys[:4]]
    added, rows = added.sort_by(order), rows.sort_by(order)
    assert added.select(keys).equals(rows.select(keys))
    assert added["predicted"].to_pylist() == pytest.approx(rows["predicted"].to_pylist(), rel=1e-6)


def test_a_task_answers_a_file_below_the_inbox_and_says_where(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "load_settings", lambda: settings)
    folder = settings.inbox / "adhoc"
    folder.mkdir(parents=True)
    (folder / "desk.csv").write_text("\n".join([HEADER, *make_lines("BTC", range(12)), ""]))
    path = Path(tasks.predict(None, None, 1, "desk.csv", "predict_on_demand/manual"))
    assert path.parent == settings.answers
    assert read_chart(path)["model_version"].unique().tolist() == [1]
    assert (folder / "desk.csv").exists()
    with pytest.raises(InputError, match="answered whole"):
        tasks.predict("2024-01-01", None, None, "desk.csv", "x")
    with pytest.raises(InputError, match="plain name"):
        tasks.predict(None, None, None, "/etc/passwd", "x")


def test_a_copy_is_placed_whole_and_never_over_the_upload(ask: Ask, tmp_path: Path) -> None:
    lines = make_lines("BTC", range(12))
    report, _ = ask(lines, out=tmp_path / "charts" / "preds.csv")
    assert Path(str(report.copy)).read_bytes() == report.answer.read_bytes()
    assert [each.name for each in (tmp_path / "charts").iterdir()] == ["preds.csv"]
    with pytest.raises(InputError, match="must not replace its upload"):
        ask(lines, out=tmp_path / "upload.csv")
    with pytest.raises(InputError, match="a copy of the answer must be a file"):
        ask(lines, out=tmp_path)


@pytest.mark.shared_data
def test_the_teams_upload_is_drawn_by_its_chart(shared_data: Path, settings: Settings) -> None:
    upload = shared_data / "seeds" / "001" / "upload.csv"
    report = predict_upload(settings, upload)
    chart, came = read_chart(report.answer), pd.read_csv(upload)
    assert list(pd.read_csv(report.answer).columns[:5]) == ["symbol", "index", "date", "pred_open", "val_open"]
    assert report.rows == len(came) + came["symbol"].nunique() == 1188
    for symbol, rows in came.groupby("symbol"):
        drawn = chart.xs(symbol)
        assert drawn["date"][:-1].tolist() == rows["date"].tolist()
        assert drawn["val_open"][:-1].tolist() == rows["open"].tolist()
        assert drawn["pred_open"].isna().tolist() == [True] * 8 + [False] * (len(rows) - 7)
        errors = np.log(drawn["pred_open"] / drawn["val_open"])[8:-1].abs()
        assert errors.median() < 0.02


def test_a_symbol_that_looks_like_a_formula_comes_back_as_it_came_and_within_its_cell(ask: Ask) -> None:
    symbols = ["=A1", "+X", "-X", "@X", '=HYPERLINK("x","y")']
    lines = [line for symbol in symbols for line in make_lines('"' + symbol.replace('"', '""') + '"', range(2))]
    _, chart = ask(lines)
    assert chart.index.get_level_values("symbol").unique().tolist() == sorted(symbols)
    assert chart.index.get_level_values("index").tolist() == [0, 1, 2] * len(symbols)
