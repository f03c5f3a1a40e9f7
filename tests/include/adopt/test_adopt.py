"""Adopting registers one whole version, or nothing; it is served with a reason on every row that it says nothing of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from include.adopt.adopt import Adopted, Files, adopt_model
from include.answers.answer import predict_upload
from include.cli import app
from include.errors import ClosecastError, InputError, NotFoundError
from include.lake.predictions import read_run
from include.lake.tables import ADHOC_PREDICTIONS, BARS
from include.registry.artifact import hash_file
from include.registry.client import EXPERIMENT, connect
from include.registry.open import open_registry
from include.registry.promote import promote_version
from include.registry.resolve import resolve_version
from include.scoring.publish import widen_run
from include.scoring.score import predict_symbols, score_session
from include.settings import Settings, load_settings
from include.training.champion import find_champion
from include.training.overrides import describe_override
from include.training.trial import Trial, run_trial
from tests.include.adopt.conftest import Small
from tests.include.adopt.files import answer, make_history, make_scalers, write_scalers
from tests.include.lake.commits import put_bars

CONTRACT = "crypto-open-v1"
LAST = date(2024, 3, 26)
N_ROWS = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Bars of one symbol under its own name, one under another, and three that have no scalers; an empty registry."""
    settings = Settings(home=tmp_path_factory.mktemp("adopting"), _env_file=None)
    put_bars(settings.lake, make_bars({"AAA": 1, "beta": 2, "other": 3, "third": 4, "fourth": 5}))
    return settings


def make_bars(seeds: dict[str, int]) -> pa.Table:
    names = ("open", "high", "low", "close", "volume", "market_cap")
    rows = [
        {"symbol": symbol, "session": LAST - timedelta(days=N_ROWS - 1 - day), **dict(zip(names, row, strict=True))}
        for symbol, seed in seeds.items()
        for day, row in enumerate(make_history(N_ROWS, seed=seed).tolist())
    ]
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: (row["session"], row["symbol"])))
    for name, value in {"upload_sha256": "0" * 64, "ingested_at": LAST}.items():
        table = table.append_column(name, pa.array([value] * table.num_rows))
    return table.select(BARS.schema.names).cast(BARS.schema)


@pytest.fixture(scope="module")
def files(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Files:
    path = tmp_path_factory.mktemp("names") / "names.csv"
    path.write_text("symbol,name\nBBB,beta\n")
    return replace(small.files, names=path)


@pytest.fixture(scope="module")
def adopted(home: Settings, files: Files) -> Adopted:
    return adopt_model(home, files, contract=CONTRACT, who="ada", fitted_to=LAST - timedelta(days=10))


def test_the_version_says_what_it_is_and_where_it_came_from(home: Settings, files: Files, adopted: Adopted) -> None:
    assert (adopted.version, adopted.is_new, adopted.symbols, adopted.forecasts) == (1, True, 2, ("open",))
    tags = open_registry(home).look().versions[1].tags
    assert (tags["kind"], tags["contract"], tags["lookback"], tags["adopted_by"]) == (CONTRACT, CONTRACT, "8", "ada")
    assert tags["model_sha256"] == adopted.model_sha256 == hash_file(files.model)
    assert tags["scaler_sha256"] == adopted.scaler_sha256 == hash_file(files.scaler)
    assert tags["adopted_at"][:4].isdigit()
    version = resolve_version(home, 1)
    assert version.onnx is not None
    assert hash_file(version.onnx) == version.onnx_sha256 == tags["onnx_sha256"]


def test_the_run_holds_the_files_as_they_came_and_the_signature(home: Settings, files: Files, adopted: Adopted) -> None:
    import mlflow

    client = connect(home)
    run_id = client.get_model_version(home.model_name, "1").run_id
    for path, name in ((files.model, "model.h5"), (files.scaler, "scaler.pkl"), (files.names, "names.csv")):
        assert path is not None
        assert Path(client.download_artifacts(run_id, f"original/{name}")).read_bytes() == path.read_bytes()
    inputs = mlflow.models.get_model_info(f"models:/{home.model_name}/1").signature.inputs.to_dict()
    said = {each["name"]: each["tensor-spec"] for each in inputs}
    assert said["window"] == {"dtype": "float64", "shape": (-1, 8, 6)}
    assert said["symbol_id"] == {"dtype": "int32", "shape": (-1,)}


def test_the_same_files_again_are_the_same_version(home: Settings, files: Files, adopted: Adopted) -> None:
    again = adopt_model(home, files, contract=CONTRACT, who="bob")
    assert (again.version, again.is_new) == (1, False)
    assert list(open_registry(home).look().versions) == [1]


def test_no_gate_has_passed_it(home: Settings, adopted: Adopted) -> None:
    state = open_registry(home).look()
    assert state.in_production == frozenset()
    assert json.loads(describe_override(home, state.versions[1]) or "") == {"override": True, "gate": "not judged"}


def list_runs(settings: Settings) -> list[Any]:
    client = connect(settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return client.search_runs([experiment.experiment_id])


def list_graphs(settings: Settings) -> list[Any]:
    client = connect(settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return client.search_logged_models([experiment.experiment_id])


def test_what_fails_half_way_leaves_nothing(
    home: Settings, adopted: Adopted, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalers = make_scalers()
    scalers["AAA"]["low"].mean_ += 1
    other = Files(small.files.model, write_scalers(tmp_path / "s.pkl", scalers))
    before = len(list_runs(home)), len(list_graphs(home))

    def fail(*_: Any, **__: Any) -> None:
        assert (len(list_runs(home)), len(list_graphs(home))) == (before[0] + 1, before[1] + 1)
        raise OSError("no space left")

    monkeypatch.setattr(MlflowClient, "create_model_version", fail)
    with pytest.raises(OSError, match="no space left"):
        adopt_model(home, other, contract=CONTRACT, who="ada")
    assert (len(list_runs(home)), len(list_graphs(home))) == before
    assert list(open_registry(home).look().versions) == [1]


def test_a_run_that_a_killed_process_left_is_removed_by_the_next_try(home: Settings, files: Files) -> None:
    import mlflow

    connect(home)
    mlflow.set_experiment(EXPERIMENT)
    only = Files(files.model, files.scaler)  # without names: another request
    request = f"adopt {CONTRACT} {hash_file(files.model)} {hash_file(files.scaler)}"
    with mlflow.start_run(tags={"request": request}) as left:
        pass
    found = adopt_model(home, only, contract=CONTRACT, who="ada")
    assert found.is_new
    assert left.info.run_id not in [run.info.run_id for run in list_runs(home)]
    connect(home).delete_model_version(home.model_name, str(found.version))


def test_each_row_has_its_forecast_or_the_reason(home: Settings, adopted: Adopted, small: Small) -> None:
    report = predict_symbols(home, LAST, version=1)
    assert report.statuses == {"scored": 2, "fallback": 3}
    run = read_run(home.lake, LAST, report.run_id, table=ADHOC_PREDICTIONS)
    rows = {(row["symbol"], row["target"]): row for row in run.to_pylist()}
    for symbol, scaled_as, seed in (("AAA", "AAA", 1), ("beta", "BBB", 2)):
        expected = answer(make_history(N_ROWS, seed=seed), small.scalers[scaled_as])[1]
        assert rows[symbol, "open"]["status"] == "scored"
        assert rows[symbol, "open"]["predicted"] == pytest.approx(expected, rel=1e-6)
        close = rows[symbol, "close"]
        assert (close["status"], close["predicted"]) == ("fallback", close["last_close"])
        assert close["reason"] == "the model forecasts the open alone, so the last close stands"
    for target in ("open", "close"):
        row = rows["other", target]
        assert (row["status"], row["predicted"]) == ("fallback", row["last_close"])
        assert row["reason"] == "symbol other is not in the model's vocabulary, so the last close stands"
    wide = {row["symbol"]: row for row in widen_run(run).to_pylist()}
    assert (wide["AAA"]["status"], wide["AAA"]["reason"]) == (
        "scored",
        "close: the model forecasts the open alone, so the last close stands",
    )
    assert wide["other"]["reason"] == rows["other", "open"]["reason"]


def test_it_is_judged_on_sessions_after_its_fit_alone(home: Settings, adopted: Adopted, small: Small) -> None:
    result = run_trial(home, Trial(models=["last_close"], version=1, origins=1))
    assert result.walk.held.sessions[0] == LAST - timedelta(days=9)
    forecasts = result.walk.forecasts[f"version 1 ({CONTRACT})"]
    assert np.isfinite(forecasts[:, :2]).all()
    assert (forecasts[:, :2, 1] == 0).all()
    assert np.isnan(forecasts[:, 2:]).all()
    history = make_history(N_ROWS, seed=1)
    expected = answer(history[:-1], small.scalers["AAA"])[1] / history[-2, 3]
    assert forecasts[-1, 0, 0] == pytest.approx(np.log(expected), abs=1e-5)  # these bars are float32
    with pytest.raises(InputError, match="only be judged on sessions after its snapshot"):
        run_trial(home, Trial(version=1, first=LAST - timedelta(days=10)))


def test_it_serves_once_a_person_has_promoted_it(home: Settings, adopted: Adopted) -> None:
    promote_version(home, 1, who="ada", why="to see")
    assert score_session(home, LAST).model_kind == CONTRACT
    champion = find_champion(home)
    assert champion is not None
    assert champion.clean_from == LAST - timedelta(days=9)


def test_a_contract_or_a_file_that_does_not_exist_is_named(home: Settings, files: Files, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"one of crypto-open-v1\. Received: stocks"):
        adopt_model(home, files, contract="stocks", who="ada")
    with pytest.raises(NotFoundError, match=r"must be there\. Received: none\.h5"):
        adopt_model(home, replace(files, model=tmp_path / "none.h5"), contract=CONTRACT, who="ada")


@pytest.fixture
def said(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLOSECAST_HOME", str(home.home))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def run(*words: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["models", "adopt", *map(str, words)])


@pytest.mark.usefixtures("said")
def test_the_command_says_what_it_found(files: Files, adopted: Adopted) -> None:
    words = ["--keras", files.model, "--scaler", files.scaler, "--names", files.names, "--contract", CONTRACT]
    shown = run(*words).stdout
    assert "Version 1: these files were adopted before" in shown
    assert "2 symbol(s); any other gets the last close and the reason" in shown
    assert json.loads(run(*words, "--json").stdout)["is_new"] is False


def test_an_upload_is_answered_by_the_teams_own_model(
    home: Settings, adopted: Adopted, small: Small, tmp_path: Path
) -> None:
    rows = make_history(N_ROWS, seed=1)
    lines = [
        f"{symbol},{LAST - timedelta(days=N_ROWS - 1 - day)},{','.join(map(repr, row))}"
        for symbol in ("AAA", "other")
        for day, row in enumerate(rows.tolist())
    ]
    upload = tmp_path / "upload.csv"
    upload.write_text("\n".join(["symbol,date,open,high,low,close,volume,market", *lines]) + "\n")
    report = predict_upload(home, upload, version=adopted.version)
    frame = pd.read_csv(report.answer).set_index(["symbol", "index"])
    own = frame.xs("AAA")
    for index in (N_ROWS - 1, N_ROWS):
        _, said = answer(rows[:index], small.scalers["AAA"])
        assert own.loc[index, "pred_open"] == pytest.approx(said, rel=1e-6)
    assert own.loc[N_ROWS, "status"] == "scored"
    assert own.loc[N_ROWS, "pred_close"] == pytest.approx(rows[-1, 3])
    unknown = frame.xs("other").loc[N_ROWS]
    assert (unknown["status"], unknown["pred_open"]) == ("fallback", pytest.approx(rows[-1, 3]))


@pytest.mark.parametrize("field", ["model", "scaler", "names"])
def test_a_file_that_breaks_a_rule_is_named_as_it_was_handed_over(
    field: str, home: Settings, small: Small, tmp_path: Path
) -> None:
    broken = tmp_path / "ours.bin"
    broken.write_bytes(b"neither of them")
    with pytest.raises(InputError) as caught:
        adopt_model(home, replace(small.files, **{field: broken}), contract=CONTRACT, who="ada")
    assert str(caught.value.place).startswith(str(broken))


def test_a_file_that_cannot_be_read_is_an_error_of_ours(home: Settings, small: Small, tmp_path: Path) -> None:
    loop = tmp_path / "loop.h5"
    loop.symlink_to(loop)
    with pytest.raises(ClosecastError, match=r"loop\.h5"):
        adopt_model(home, replace(small.files, model=loop), contract=CONTRACT, who="ada")
    name = tmp_path / ("n" * 300 + ".h5")
    with pytest.raises(InputError, match="must be readable"):
        adopt_model(home, replace(small.files, model=name), contract=CONTRACT, who="ada")
