"""The answers of a graph beside those that are expected, row by row."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from include.adopt.adopt import Files, adopt_model
from include.adopt.check import Checked, check_graph
from include.adopt.contracts import find_contract
from include.adopt.crypto_open import COLUMNS, build_graph
from include.adopt.network import read_network
from include.adopt.scalers import read_scalers
from include.errors import InputError
from include.ingest.ingest import ingest_upload
from include.lake.predictions import read_run
from include.lake.tables import ADHOC_PREDICTIONS
from include.scoring.score import predict_symbols
from include.settings import Settings
from tests.include.adopt.conftest import Small
from tests.include.adopt.files import answer, make_history

CONTRACT = find_contract("crypto-open-v1")


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    rows = make_history(12)
    lines = [f"AAA,2024-01-{day:02},{','.join(map(repr, row.tolist()))}" for day, row in enumerate(rows, start=1)]
    path = tmp_path / "upload.csv"
    path.write_text("\n".join(["symbol,date,open,high,low,close,volume,market", *lines]) + "\n")
    return path


def check(small: Small, upload: Path, text: str) -> Checked:
    expected = upload.with_name("expected.csv")
    expected.write_text(text)
    return check_graph(onnx.load(str(small.path)), CONTRACT, upload=upload, expected=expected)


def test_answers_that_agree_are_measured(small: Small, upload: Path) -> None:
    rows = make_history(12)
    lines = [f"AAA,{index},{answer(rows[:index], small.scalers['AAA'])[0]!r}" for index in range(1, 13)]
    found = check(small, upload, "\n".join(["symbol,index,scaled_v_open", "AAA,0,", *lines]) + "\n")
    assert found.rows == 12
    assert found.tolerance_share < 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "symbol,index,scaled_v_open\nAAA,3,9.5\n",
            r"agree to 0\.0001 of .* and 2e-06\. .* in place of 9\.5 \(AAA 3\)",
        ),
        ("symbol,index,scaled_v_open\nAAA,13,0.5\n", r"must have bars before it\. Received: AAA 13"),
        ("symbol,index,scaled_v_open\nAAA,0,0.5\n", r"must have bars before it\. Received: AAA 0"),
        ("symbol,index,scaled_v_open\nBBB,3,0.5\n", r"must have bars before it\. Received: BBB 3"),
        ("symbol,index,scaled_v_open\nAAA,3,inf\n", "must be finite numbers"),
        ("symbol,index,scaled_v_open\nAAA,0,\n", "at least one"),
        ("symbol,index\nAAA,3\n", "columns symbol, index and scaled_v_open"),
        ("symbol,index,scaled_v_open\nAAA,x,0.5\n", "columns symbol, index and scaled_v_open"),
    ],
)
def test_answers_that_do_not_are_named(small: Small, upload: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(small, upload, text)


def test_a_model_that_does_not_agree_is_not_registered(small: Small, upload: Path, settings: Settings) -> None:
    expected = upload.with_name("expected.csv")
    expected.write_text("symbol,index,scaled_v_open\nAAA,3,9.5\n")
    files = Files(small.files.model, small.files.scaler, check=(upload, expected))
    with pytest.raises(InputError, match="answers must agree"):
        adopt_model(settings, files, contract=CONTRACT.name, who="ada")
    assert not settings.mlflow_home.exists()


@pytest.mark.shared_data
def test_a_teams_real_model_answers_as_its_original_did(seeds: Path) -> None:
    model = build_graph(read_network(seeds / "model.h5"), read_scalers(seeds / "scaler.pkl", COLUMNS))
    found = check_graph(model, CONTRACT, upload=seeds / "upload.csv", expected=seeds / "expected.csv")
    assert found.rows == 1182
    assert found.tolerance_share < 0.2


@pytest.mark.shared_data
def test_it_is_served_from_the_lake_with_the_opens_of_the_original(seeds: Path, settings: Settings) -> None:
    from datetime import date

    import pyarrow.csv as pacsv

    ingest_upload(settings, seeds / "upload.csv")
    files = Files(seeds / "model.h5", seeds / "scaler.pkl")
    version = adopt_model(settings, files, contract=CONTRACT.name, who="ada").version
    report = predict_symbols(settings, date(2018, 6, 29), version=version)
    run = read_run(settings.lake, report.as_of, report.run_id, table=ADHOC_PREDICTIONS)
    found = {row["symbol"]: row["predicted"] for row in run.to_pylist() if row["target"] == "open"}
    expected = [row for row in pacsv.read_csv(seeds / "expected.csv").to_pylist() if row["date"] == date(2018, 6, 30)]
    assert len(expected) == 3
    assert found == pytest.approx({row["symbol"]: row["pred_open"] for row in expected}, rel=1e-6)
