"""Which files a run by REST may name, and that a file that fails leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.answers.files import find_adhoc, require_whole
from include.errors import InputError
from include.files import open_placed
from include.settings import Settings


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../desk.csv", "/etc/passwd", "a/b.csv", "a\\b.csv", ".hidden.csv", "x.part", "a\nb.csv"]
)
def test_only_a_plain_name_is_taken(settings: Settings, name: str) -> None:
    with pytest.raises(InputError, match="plain name of a finished file"):
        find_adhoc(settings, name)


def test_a_name_is_found_below_the_inbox_and_a_link_is_none(settings: Settings, tmp_path: Path) -> None:
    folder = settings.inbox / "adhoc"
    folder.mkdir(parents=True)
    (folder / "desk.csv").write_text("x")
    assert Path(find_adhoc(settings, "desk.csv")) == folder / "desk.csv"
    (tmp_path / "secret").write_text("x")
    (folder / "link.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="a file and no link"):
        find_adhoc(settings, "link.csv")


def test_a_name_in_an_object_store_is_a_key(settings: Settings) -> None:
    stored = settings.model_copy(update={"uploads": "s3://bucket/prefix"})
    assert find_adhoc(stored, "desk.csv") == "s3://bucket/prefix/inbox/adhoc/desk.csv"


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "answer.csv"
    path.write_text("old")

    def fail_half_way() -> None:
        with open_placed(path) as out:
            out.write(b"new")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_session_and_symbols_stand_beside_no_upload() -> None:
    require_whole(None, None)
    with pytest.raises(InputError, match="answered whole"):
        require_whole("2024-01-01", None)
    with pytest.raises(InputError, match="answered whole"):
        require_whole(None, ["BTC"])
