"""Everything that led to a forecast is told, by REST as from the local store, and what is gone is noted."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from include.audit.explain import explain_forecast
from include.audit.origin import find_origin
from include.audit.picture import draw_picture
from include.audit.window import NOT_VALIDATED
from include.errors import NotFoundError
from include.lake.bars import open_bars
from include.lake.files import choose_sessions
from include.lake.runs import list_runs
from include.lake.tables import OUTCOMES
from include.registry.promote import promote_version
from include.scoring.score import predict_symbols, score_session
from include.settings import PROJECT_ROOT, Settings
from tests.include.audit.conftest import LAST, SCORED, SYMBOL, Scored, rewrite
from tests.include.registry.conftest import mlflow_url

__all__ = ["mlflow_url"]


@pytest.fixture
def own(scored: Scored) -> Settings:
    """What `mlflow_url` serves."""
    return scored.settings


def test_a_forecast_is_told_with_all_that_led_to_it(scored: Scored) -> None:
    settings = scored.settings
    found = explain_forecast(settings, SYMBOL, as_of=LAST)
    assert [row["target"] for row in found.forecasts] == ["open", "close"]
    assert [row.session for row in found.window][-1] == LAST
    assert len(found.window) == found.run.lookback
    newest = found.window[-1]
    assert newest.bar is not None
    assert newest.bar["close"] == found.forecasts[0]["last_close"]
    assert newest.upload_name is not None
    assert newest.upload_name.startswith("history")
    assert newest.upload_sha256 is not None
    assert len(newest.upload_sha256) == 64
    assert newest.ingested_at is not None
    assert [row.is_whole for row in found.window] == [True] * len(found.window)
    assert newest.validation.startswith("passed")
    assert found.window[0].validation == NOT_VALIDATED
    assert found.origin.promoted is not None
    assert (found.origin.promoted["who"], found.origin.promoted["why"]) == ("ada", "the gate [passed] it")
    assert found.origin.gate is not None
    assert found.origin.snapshot["last_session"] == str(LAST)
    assert len(found.origin.snapshot["content_sha256"]) == 64
    assert found.task is not None
    assert (found.task["dag_id"], found.task["dag_run_id"]) == ("market_close", f"run-{LAST}")
    assert found.notes == []


def test_what_came_true_is_measured_in_log_returns(scored: Scored) -> None:
    found = explain_forecast(scored.settings, SYMBOL, as_of=LAST)
    day = LAST + timedelta(days=1)
    line = next(
        line for line in scored.uploads[day].read_text().splitlines() if line.replace('"', "").startswith(f"{SYMBOL},")
    )
    header = scored.uploads[day].read_text().splitlines()[0].lower().replace('"', "").split(",")
    came = dict(zip(header, line.replace('"', "").split(","), strict=True))
    assert [row["target"] for row in found.outcomes] == ["open", "close"]
    for row, forecast in zip(found.outcomes, found.forecasts, strict=True):
        assert row["actual"] == float(came[row["target"]])
        assert row["error"] == pytest.approx(math.log(row["actual"] / forecast["predicted"]), rel=1e-12)
        assert row["last_close_error"] == pytest.approx(math.log(row["actual"] / forecast["last_close"]), rel=1e-12)


def test_what_came_is_read_from_bars_before_it_was_settled(scored: Scored) -> None:
    early = explain_forecast(scored.settings, SYMBOL, as_of=SCORED[0])
    assert {row["target_session"] for row in early.outcomes} == {SCORED[1]}
    score_session(scored.settings, LAST + timedelta(days=1))
    assert explain_forecast(scored.settings, SYMBOL).outcomes == []


def test_what_came_of_a_symbol_that_was_renamed_is_in_the_unit_of_its_forecast(scored: Scored) -> None:
    day, settings = LAST + timedelta(days=1), scored.settings
    shutil.rmtree(OUTCOMES.path(settings.lake))  # as before it was settled
    successor = [row["actual"] for row in explain_forecast(settings, "sim05", as_of=LAST).outcomes]
    settings.symbol_changes_file.write_text(f"symbol,successor,session,factor\n{SYMBOL},sim05,{day},4\n")
    found = explain_forecast(settings, SYMBOL, as_of=LAST)
    assert [4 * row["actual"] for row in found.outcomes] == successor
    assert len(successor) == 2


def test_the_logs_of_its_task_are_found(scored: Scored) -> None:
    folder = scored.settings.airflow_home / "logs" / "dag_id=market_close" / f"run_id=run-{LAST}" / "task_id=score"
    folder.mkdir(parents=True)
    (folder / "attempt=1.log").write_text("said")
    task = explain_forecast(scored.settings, SYMBOL, as_of=LAST).task
    assert task is not None
    assert task["logs"] == [folder / "attempt=1.log"]


def test_a_run_at_will_was_asked_for_by_nobody_and_its_version_did_not_serve(scored: Scored) -> None:
    report = predict_symbols(scored.settings, LAST, symbols=[SYMBOL], version=1)
    found = explain_forecast(scored.settings, SYMBOL, run_id=report.run_id)
    assert found.task is None
    assert found.origin.promoted is None
    assert found.run.model_version == 1


def test_who_promoted_is_as_of_the_run(scored: Scored) -> None:
    promote_version(scored.settings, 1, who="bob", why="later")
    origin = explain_forecast(scored.settings, SYMBOL, as_of=LAST).origin
    assert origin.promoted is not None
    assert (origin.promoted["who"], origin.promoted["from_version"]) == ("ada", 1)


def test_the_server_tells_the_same_as_the_local_store(scored: Scored, mlflow_url: str) -> None:
    run = list_runs(scored.settings.lake)[-1]
    assert run is not None
    remote = scored.settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    assert find_origin(remote, run) == find_origin(scored.settings, run)
    assert find_origin(remote, run).mlflow_run_id


def test_a_registry_that_does_not_answer_is_noted(scored: Scored, tmp_path: Path) -> None:
    for uri in ("http://127.0.0.1:9", f"sqlite:///{tmp_path}/none.db"):
        away = scored.settings.model_copy(update={"mlflow_tracking_uri": uri})
        found = explain_forecast(away, SYMBOL, as_of=LAST)
        assert found.origin.promoted is not None
        assert "the registry does not tell all" in found.notes[0]


def test_a_changed_file_and_a_missing_one_are_told(scored: Scored) -> None:
    ((_, path),) = choose_sessions(open_bars(scored.settings.lake), [LAST])
    rewrite(path, lambda row: row | {"volume": 1.0})
    assert explain_forecast(scored.settings, SYMBOL, as_of=LAST).window[-1].is_whole is False
    path.unlink()
    found = explain_forecast(scored.settings, SYMBOL, as_of=LAST)
    assert found.window == []
    assert "the window can't be shown" in found.notes[0]


@pytest.mark.parametrize(("symbol", "day", "said"), [("nobody", LAST, "by its name of then"), (SYMBOL, None, "scored")])
def test_what_is_not_there_is_named(scored: Scored, symbol: str, day: object, said: str) -> None:
    with pytest.raises(NotFoundError, match=said):
        explain_forecast(scored.settings, symbol, as_of=LAST if day else LAST - timedelta(days=9))


def test_the_picture_is_a_png_and_the_same_each_time(scored: Scored) -> None:
    found = explain_forecast(scored.settings, SYMBOL, as_of=LAST)
    drawn = draw_picture(scored.settings, found)
    assert drawn.startswith(b"\x89PNG")
    assert drawn == draw_picture(scored.settings, found)


def test_no_heavy_library_is_imported_for_a_page_of_text(scored: Scored) -> None:
    code = (
        "import sys; from pathlib import Path; from include.settings import Settings\n"
        "from include.audit.explain import explain_forecast; from include.audit.show import show_explanation\n"
        f"show_explanation(explain_forecast(Settings(home=Path({str(scored.settings.home)!r})), {SYMBOL!r}))\n"
        "print(sorted({'mlflow', 'tensorflow', 'matplotlib', 'onnxruntime', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
    assert SYMBOL in done.stdout
