"""The page of a session: what it shows, and that nobody's names run in it or load anything."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from include.ingest.ingest import ingest_upload
from include.monitoring.chart import choose_ticks, draw_chart
from include.monitoring.session_report import list_reports, report_path, write_report
from include.quality.session import validate_session
from include.settings import Settings
from tests.include.monitoring.scenes import HEADER, day, put_session, put_truth

HOSTILE = ["<script>alert(1)</script>", 'a,"b"', "x\u202ey", "{{ 7 * 7 }}"]
LAST = 8


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Settings:
    """Eight sessions of forecasts that are always wrong in sign, a correction and a refused row in the last."""
    put_truth(settings, tmp_path, [*HOSTILE, *(f"S{n}" for n in range(30))], range(LAST), flipped=range(LAST))
    path = tmp_path / "late.csv"
    path.write_text(
        f'{HEADER}"<script>alert(1)</script>",{day(LAST - 1)},1,2,3,4,5,6\nS1,{day(LAST - 1)},50,60,40,55,7,1\n'
    )
    ingest_upload(settings, path)
    validate_session(settings, day(LAST - 1))
    return settings


def test_the_page_shows_the_session_and_runs_and_loads_nothing(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.monitoring.session_report.WORST_SYMBOLS", 99)
    path = write_report(home, day(LAST - 1))
    assert path == report_path(home, day(LAST - 1))
    assert list_reports(home) == [day(LAST - 1)]
    page = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert re.findall(r"(?:src=|href=|url\()", page) == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a,&#34;b&#34;" in page
    assert "\u202e" not in page
    assert "{{ 7 * 7 }}" in page
    assert page.count("<svg") == 6  # the outputs have too few sessions behind the judged ones
    assert "newest 7" in page
    assert "Symbols that lost most" in page
    assert "expectations" in page
    assert "Refused rows" in page
    assert "cells of 1 symbols were corrected" in page
    assert "S1 close: was" in page
    assert "No signal in breach" in page
    assert "Inputs are not judged: no model is in Production." in page


def test_a_session_without_forecasts_has_a_page_of_its_data(settings: Settings, tmp_path: Path) -> None:
    put_session(settings, tmp_path, day(0), {"A": 1.0})
    page = write_report(settings, day(0)).read_text(encoding="utf-8")
    assert "No forecast has come true yet." in page
    assert "The session was not validated." in page
    assert "No row of it was refused." in page
    assert "<svg" not in page


def test_only_pages_are_listed(settings: Settings) -> None:
    settings.reports.mkdir(parents=True)
    for name in ("2024-01-02.html", "2024-01-01.html", "2024-01-01.html.partial", "secret.html"):
        (settings.reports / name).touch()
    assert [str(each) for each in list_reports(settings)] == ["2024-01-01", "2024-01-02"]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.83, 1.12, [0.8, 0.9, 1.0, 1.1, 1.2]),
        (0.0, 0.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (-3.0, 12.0, [-5.0, 0.0, 5.0, 10.0, 15.0]),
    ],
)
def test_ticks_are_round_and_hold_the_values(low: float, high: float, wanted: list[float]) -> None:
    assert choose_ticks(low, high) == wanted


def test_a_chart_breaks_its_line_where_a_value_is_missing_and_stays_in_its_frame() -> None:
    values = np.array([1.0, 2.0, np.nan, 1.5, 3.0])
    chart = draw_chart("a <title>", [day(at) for at in range(5)], {"<b>": values}, marks={"limit": 2.5})
    (path,) = re.findall(r'<path class="line1" d="([^"]+)"', chart)
    assert path.count("M") == 2
    assert path.count("L") == 2
    places = [float(number) for number in re.findall(r"[\d.]+", path)]
    assert min(places) > 0
    assert max(places[1::2]) <= 200
    assert max(places[::2]) <= 420
    assert "<title>limit: 2.5</title>" in chart
    assert "a &lt;title&gt;" in chart
    assert "&lt;b&gt;" in chart
    assert draw_chart("none", [day(0)], {"x": np.array([np.nan])}) == '<p class="empty">Nothing to draw yet.</p>'
