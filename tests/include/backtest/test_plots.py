"""Pictures: what is drawn is what was measured; the same figures give the same bytes."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from include.backtest.plots import (
    draw_png,
    plot_calibration,
    plot_errors,
    plot_judgement,
    plot_learning_curve,
    plot_ratios,
    plot_skill,
)

DAYS = [date(2026, 1, 1) + timedelta(days=k) for k in range(12)]
ERRORS = {"last_close": np.full((12, 2), 0.04), "ridge": np.full((12, 2), 0.03)}


def build_rows() -> list[dict]:
    rows = []
    for model, skill in (("last_close", 0.0), ("ridge", 0.02)):
        for target in ("open", "close"):
            for decile in range(1, 11):
                row = {"model": model, "target": target, "cohort": "volatility decile", "group": str(decile)}
                row |= {"sessions": "all", "relative_error": 1 - skill * decile}
                rows.append(row | {"coverage_80": 0.7 + 0.01 * decile, "coverage_95": 0.9 + 0.01 * decile})
    return [*rows, {**rows[0], "cohort": "all"}, {**rows[0], "sessions": "last 7"}]


def read_lines(panel) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in panel.lines if not line.get_label().startswith("_")}


def test_skill_is_the_part_of_last_closes_error_that_is_gone() -> None:
    for panel in plot_skill(build_rows()).axes:
        lines = read_lines(panel)
        np.testing.assert_allclose(lines["ridge"], 2.0 * np.arange(1, 11))
        np.testing.assert_allclose(lines["last_close"], 0.0, atol=1e-12)


def test_calibration_is_in_percent_with_a_line_at_each_level() -> None:
    panel = plot_calibration(build_rows()).axes[1]
    np.testing.assert_allclose(read_lines(panel)["ridge"], 70 + np.arange(1, 11))
    dashed = [line.get_ydata()[0] for line in panel.lines if line.get_linestyle() == "--"]
    assert dashed == [80, 95]


def test_ratios_are_to_last_close_and_errors_as_they_are() -> None:
    np.testing.assert_allclose(read_lines(plot_ratios(DAYS, ERRORS).axes[0])["ridge"], 0.75)
    np.testing.assert_allclose(read_lines(plot_errors(DAYS, ERRORS).axes[0])["ridge"], 3.0)


def test_a_model_has_one_colour_in_every_picture() -> None:
    figures = (plot_skill(build_rows()), plot_errors(DAYS, ERRORS), plot_ratios(DAYS, ERRORS))
    for name in ERRORS:
        colours = {line.get_color() for each in figures for line in each.axes[0].lines if line.get_label() == name}
        assert len(colours) == 1


def test_a_validations_figure_is_beside_its_own() -> None:
    figure = plot_learning_curve([{"loss": 2.0, "val_loss": 3.0, "rate": 0.1}, {"loss": 1.0, "val_loss": 2.5}])
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["loss", "rate"]
    assert read_lines(figure.axes[0]) == {"loss": [2.0, 1.0], "val_loss": [3.0, 2.5]}
    assert read_lines(figure.axes[1]) == {"rate": [0.1]}


@pytest.mark.parametrize("draw", [lambda: plot_skill(build_rows()), lambda: plot_errors(DAYS, ERRORS)])
def test_the_same_figure_gives_the_same_bytes(draw) -> None:
    once, again = draw_png(draw()), draw_png(draw())
    assert once == again
    assert once.startswith(b"\x89PNG")


def test_without_intervals_there_is_no_picture_of_them() -> None:
    rows = build_rows()
    assert set(plot_judgement(DAYS, ERRORS, rows)) == {"error_over_time", "skill_by_volatility", "calibration"}
    bare = [row | {"coverage_80": float("nan"), "coverage_95": float("nan")} for row in rows]
    assert "calibration" not in plot_judgement(DAYS, ERRORS, bare)
