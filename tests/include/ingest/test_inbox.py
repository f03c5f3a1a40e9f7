"""Which files of the inbox are a session's finished uploads."""

from __future__ import annotations

from datetime import date

from include.ingest.inbox import is_in_inbox, list_arrived
from include.settings import Settings

SESSION = date(2018, 6, 1)


def test_finished_uploads_of_the_session_sorted_by_name(settings: Settings) -> None:
    settings.inbox.mkdir(parents=True)
    wanted = ["2018-06-01.csv", "bars_2018-06-01.parquet", "z-2018-06-01-late.csv.gz"]
    others = [".2018-06-01.csv", "2018-06-01.csv.tmp", "2018-06-01.csv.part", "2018-06-02.csv", "notes.txt"]
    for name in [*reversed(wanted), *others]:
        (settings.inbox / name).write_text("x")
    (settings.inbox / "2018-06-01").mkdir()
    assert [path.name for path in list_arrived(settings, SESSION)] == wanted


def test_without_an_inbox_nothing_has_arrived(settings: Settings) -> None:
    assert list_arrived(settings, SESSION) == []


def test_only_what_lies_directly_in_the_inbox_is_in_it(settings: Settings) -> None:
    assert is_in_inbox(settings, settings.inbox / "2018-06-01.csv")
    assert not is_in_inbox(settings, settings.inbox / "old" / "2018-06-01.csv")
    assert not is_in_inbox(settings, settings.home / "2018-06-01.csv")
