"""Data Docs: a page for each run and an index of the newest, safe to open whatever an upload called its symbols."""

from __future__ import annotations

import html
import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from include.quality import docs
from include.quality.docs import INDEX, NEWEST_PAGES, is_page, link_page, list_pages
from include.quality.session import validate_session
from include.settings import Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAY = date(2018, 6, 10)
EVIL = '<script>alert(1)</script><img src="http://example.com/x">'


@pytest.fixture
def page(settings: Settings) -> Path:
    """The page of a blocked session with a symbol that is markup."""
    bad = bar_row(EVIL, DAY, low=9.0)
    put_bars(settings.lake, bar_rows([bad, bar_row("B", DAY, close=1.4)]))
    found = validate_session(settings, DAY).page
    assert found is not None
    return found


def test_a_page_says_what_was_found_in_our_words_and_the_librarys(page: Path) -> None:
    text = page.read_text()
    assert page.name.startswith("session_2018-06-10_")
    assert page.name.endswith("_blocked.html")
    assert "low_is_lowest" in text
    assert "low must not exceed open, high or close beyond rounding" in text  # drawn by the library
    assert html.escape(EVIL) in text


def test_numbers_reach_the_library_as_pythons_own() -> None:
    plain = docs._disarm({"observed_value": [np.float64(0.5), np.int64(3)], "names": ["<b>"]})
    assert repr(plain["observed_value"]) == "[0.5, 3]"
    assert "<" not in plain["names"][0]


def test_a_page_runs_nothing_and_asks_for_nothing(page: Path) -> None:
    text = page.read_text()
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'"
    assert policy in text
    assert text.index(policy) < text.index("<style>")
    assert "<script" not in text
    assert EVIL not in text
    assert re.findall(r'(?:src|href)="(?!index\.html|#)[^"]*"', text) == []
    assert re.findall(r"\son[a-z]+=", text) == []


def test_the_index_lists_pages_newest_first_and_the_oldest_are_dropped(settings: Settings, page: Path) -> None:
    folder = settings.data_docs
    for back in range(1, NEWEST_PAGES + 3):
        (
            folder
            / f"session_{DAY - timedelta(days=back)}_202001{1 + back // 60:02}T00{back % 60:02}00000000Z_passed.html"
        ).touch()
    (folder / "notes.txt").touch()
    second = validate_session(settings, DAY).page
    assert second is not None
    pages = list_pages(folder)
    assert [each.name for each in pages[:2]] == [second.name, page.name]
    assert len(pages) == NEWEST_PAGES
    index = (folder / INDEX).read_text()
    assert re.findall(r'<a href="([^"]+)"', index) == [each.name for each in pages]
    assert index.index('class="mark blocked"') < index.index('class="mark passed"')
    assert (folder / "notes.txt").exists()
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_link_is_behind_the_login_where_airflow_runs_and_a_file_elsewhere(settings: Settings, page: Path) -> None:
    report = validate_session(settings, DAY)
    assert report.page is not None
    assert link_page(settings, report) == report.page.as_uri()
    running = settings.model_copy(update={"airflow_url": "http://127.0.0.1:8080/"})
    assert link_page(running, report) == f"http://127.0.0.1:8080/data-docs/{report.page.name}"


def test_names_of_pages_alone_are_pages(page: Path) -> None:
    assert is_page(page.name)
    assert is_page(INDEX)
    names = ["../" + page.name, page.name + "/", ".index.html", "", ".", "..", f"{page.name}\n", "passwords.json"]
    assert [name for name in names if is_page(name)] == []


def test_a_page_that_cannot_be_written_stops_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    put_bars(settings.lake, bar_rows([bar_row("A", DAY)]))
    settings.data_docs.parent.mkdir(parents=True, exist_ok=True)
    settings.data_docs.write_text("a file where the folder should be")
    report = validate_session(settings, DAY)
    assert report.page is None
    assert link_page(settings, report) == "no page"
    assert "the page of session 2018-06-10 was not written" in caplog.text
