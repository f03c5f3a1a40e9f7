"""What a candidate's run shows: every file, residuals by hand, names that MLflow takes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from include.backtest.evidence import measure_sessions, write_evidence
from include.backtest.heldout import HeldOut, hold_out, measure_forecasts
from tests.include.backtest.cubes import build_cube, walk_bars

CUBE = build_cube(walk_bars(70, 40, gaps=0.02))
HELD = hold_out(CUBE, 45)
FORECASTS = (0.5 * HELD.actual).astype(np.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("evidence") / "made"
    curve = [{"loss": 2.0}, {"loss": 1.0}]
    asked = {"cube": CUBE, "held": HELD, "forecasts": FORECASTS, "learning_curve": curve}
    return folder, write_evidence(folder, model="ridge", **asked)


def test_every_file_is_there(written) -> None:
    pictures = {"calibration.png", "error_over_time.png", "learning_curve.png", "skill_by_volatility.png"}
    names = {path.name for path in written[0].iterdir()}
    assert names == pictures | {"metrics_by_cohort.csv", "residual_quantiles.json"}
    assert all((written[0] / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_a_model_that_learns_nothing_has_no_learning_curve(tmp_path: Path) -> None:
    write_evidence(tmp_path, model="ridge", cube=CUBE, held=HELD, forecasts=FORECASTS, learning_curve=[])
    assert not (tmp_path / "learning_curve.png").exists()


def test_metrics_are_those_of_all_cells(written) -> None:
    flat, expected = written[1], measure_forecasts(HELD, FORECASTS)
    for target in ("open", "close"):
        assert flat[f"{target}_mean_absolute_error"] == pytest.approx(expected[f"{target}_error"], rel=1e-9)
        assert flat[f"{target}_relative_error"] == pytest.approx(0.5, rel=1e-6)
        assert flat[f"{target}_directional_accuracy"] == 1.0
    assert all(np.isfinite(value) for value in flat.values())


def test_names_are_such_as_mlflow_takes(written) -> None:
    from mlflow.utils.validation import _validate_metric_name

    assert "close_directional_accuracy" in written[1]
    for name in written[1]:
        _validate_metric_name(name)  # raises what it refuses


def test_cohorts_are_rows_of_numbers(written) -> None:
    with (written[0] / "metrics_by_cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "model" not in rows[0]
    assert {row["cohort"] for row in rows} == {"all", "volatility decile", "market cap decile", "age in sessions"}
    for row in rows:
        assert float(row["relative_error"]) == pytest.approx(0.5, rel=1e-5)
    # The newest seven sessions all have ten before them to be calibrated on.
    assert all(row["coverage_80"] for row in rows if row["sessions"] == "last 7")


def test_residuals_are_actual_less_forecast(written) -> None:
    said = json.loads((written[0] / "residual_quantiles.json").read_text())
    residuals = (HELD.actual - FORECASTS)[HELD.cells].astype(np.float64)
    for axis, target in enumerate(("open", "close")):
        assert said[target]["count"] == HELD.cells.sum()
        assert said[target]["q0.5"] == pytest.approx(np.median(residuals[:, axis]), rel=1e-9)
        assert said[target]["mean"] == pytest.approx(residuals[:, axis].mean(), rel=1e-9)


def test_errors_of_a_session_by_hand() -> None:
    actual = np.array([[[0.1, 0.2], [0.3, np.nan]], [[np.nan, np.nan], [np.nan, np.nan]]], dtype=np.float32)
    held = HeldOut(range(2), CUBE.sessions[:2], actual)
    np.testing.assert_allclose(measure_sessions(held, np.zeros_like(actual)), [[0.2, 0.2], [np.nan, np.nan]], rtol=1e-6)
