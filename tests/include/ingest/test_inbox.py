"""Which uploads of the inbox are a session's and finished, in a folder and in an object store."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest

from include.errors import InputError
from include.ingest.inbox import (
    address_of,
    has_arrived,
    is_in_inbox,
    list_arrived,
    list_waiting,
    open_source,
    require_unchanged,
)
from include.object_store import ObjectStore
from include.settings import Settings
from include.uploads.source import LocalSource

SESSION = date(2018, 6, 1)
WANTED = ["2018-06-01", "2018-06-01.csv", "bars_2018-06-01.parquet", "z-2018-06-01-late.csv.gz"]
FOLDER = ["2018-06-01/part-0.csv", "2018-06-01/_SUCCESS"]
OTHERS = [
    ".2018-06-01.csv",
    "2018-06-01.csv.tmp",
    "2018-06-01.csv.part",
    ".2018-06-01/part-0.csv",
    ".2018-06-01/_SUCCESS",
    "open-2018-06-01/part-0.csv",
]
LATER = ["2018-06-02.csv", "history.csv"]


@pytest.fixture(params=["folder", "object store"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings whose inbox holds uploads of the session, of others, and unfinished ones."""
    remote = request.param == "object store"
    uploads = request.getfixturevalue("bucket") + "/daily" if remote else None
    settings = Settings(home=tmp_path / "home", uploads=uploads, _env_file=None)
    for name in [*WANTED[1:], *FOLDER, *OTHERS, *LATER]:
        place(settings, name)
    return settings


def place(settings: Settings, name: str, data: bytes = b"x") -> str:
    url = f"{settings.inbox_url}/{name}"
    if settings.has_object_store:
        ObjectStore().write(io.BytesIO(data), url)
    else:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        Path(url).write_bytes(data)
    return url


def test_finished_uploads_of_the_session_sorted_by_name(filled: Settings) -> None:
    assert [source.name for source in list_arrived(filled, SESSION)] == WANTED
    assert has_arrived(filled, SESSION)
    assert not has_arrived(filled, date(2018, 6, 3))


def test_all_finished_uploads_sorted_by_name(filled: Settings) -> None:
    assert [source.name for source in list_waiting(filled)] == sorted([*WANTED, *LATER])


def test_what_is_listed_is_in_the_inbox_and_opens_by_its_address(filled: Settings) -> None:
    for source in list_arrived(filled, SESSION):
        assert is_in_inbox(filled, source)
        again = open_source(address_of(source))
        assert (again.name, again.size_bytes, again.identity()) == (source.name, source.size_bytes, source.identity())
    (part,) = open_source(f"{filled.inbox_url}/2018-06-01").parts
    assert not is_in_inbox(filled, part)


def test_the_way_to_the_inbox_does_not_matter(settings: Settings, tmp_path: Path) -> None:
    place(settings, "day.csv")
    (tmp_path / "link").symlink_to(settings.inbox)
    (tmp_path / "day.csv").symlink_to(settings.inbox / "day.csv")
    for path in (settings.inbox / ".." / "inbox" / "day.csv", tmp_path / "link" / "day.csv"):
        assert is_in_inbox(settings, open_source(path))
    assert not is_in_inbox(settings, open_source(tmp_path / "day.csv"))


def test_an_upload_that_changes_while_it_is_read_is_refused(filled: Settings) -> None:
    source = open_source(f"{filled.inbox_url}/2018-06-01.csv")
    before = source.identity()
    require_unchanged(source, before)
    place(filled, "2018-06-01.csv", b"other")
    with pytest.raises(InputError, match="must stay as it is while it is read.*2018-06-01.csv"):
        require_unchanged(source, before)


def test_a_closed_folder_without_a_part_is_told(filled: Settings) -> None:
    place(filled, "2018-06-03/_SUCCESS")
    with pytest.raises(InputError, match="at least one part"):
        list_arrived(filled, date(2018, 6, 3))


def test_a_folder_of_uploads_elsewhere(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", uploads=str(tmp_path / "share"), _env_file=None)
    place(settings, "2018-06-01.csv")
    (source,) = list_arrived(settings, SESSION)
    assert isinstance(source, LocalSource)
    assert source.path == tmp_path / "share" / "inbox" / "2018-06-01.csv"


def test_without_an_inbox_nothing_has_arrived(settings: Settings) -> None:
    assert list_arrived(settings, SESSION) == list_waiting(settings) == []
    assert not has_arrived(settings, SESSION)


def test_an_inbox_that_is_no_folder_is_told(settings: Settings) -> None:
    settings.home.mkdir()
    settings.inbox.write_text("x")
    with pytest.raises(InputError, match="inbox must be a folder that can be read"):
        list_arrived(settings, SESSION)


def test_a_file_that_is_being_written_has_not_arrived(settings: Settings) -> None:
    upload = Path(place(settings, "2018-06-01.csv"))
    place(settings, "2018-06-01/part-0.csv")
    place(settings, "2018-06-01/_SUCCESS")
    with upload.open("ab"), (settings.inbox / "2018-06-01" / "part-0.csv").open("ab"):
        assert list_arrived(settings, SESSION) == []
        assert not has_arrived(settings, SESSION)
    assert [source.name for source in list_arrived(settings, SESSION)] == ["2018-06-01", "2018-06-01.csv"]
