"""Steps that are done once, done again where their files or what they build on are not as they were."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from include.errors import InputError, UnavailableError
from include.training.done import is_done, run_step


def write_one(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("one")


def test_a_step_is_done_once(tmp_path: Path) -> None:
    assert run_step(tmp_path / "fit" / "ridge", write_one)
    assert not run_step(tmp_path / "fit" / "ridge", write_one)


@pytest.mark.parametrize("spoil", ["deep/file", "done.json", "extra"])
def test_a_step_whose_files_are_not_as_it_left_them_is_done_again(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "ridge"
    run_step(folder, write_one)
    (folder / spoil).write_text("{")
    assert not is_done(folder)
    assert run_step(folder, write_one)
    assert sorted(path.name for path in folder.iterdir()) == ["deep", "done.json"]


def test_a_step_that_died_begins_in_an_empty_folder(tmp_path: Path) -> None:
    def die(folder: Path) -> None:
        write_one(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(tmp_path / "ridge", die)
    assert not is_done(tmp_path / "ridge")
    assert run_step(tmp_path / "ridge", write_one)


def test_a_step_that_builds_on_something_else_by_now_is_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "ridge"
    assert run_step(folder, write_one, basis={"snapshot": "a"})
    assert not run_step(folder, write_one, basis={"snapshot": "a"})
    assert (is_done(folder), is_done(folder, {"snapshot": "a"}), is_done(folder, {"snapshot": "b"})) == (
        True,
        True,
        False,
    )
    assert run_step(folder, write_one, basis={"snapshot": "b"})


@pytest.mark.parametrize(
    ("number", "kind", "rule"),
    [
        (errno.ENOSPC, UnavailableError, "there must be room for the record of a retrain"),
        (errno.EROFS, InputError, "the record of a retrain must be writable"),
    ],
)
def test_a_disk_that_refuses_is_named_and_nothing_of_the_step_stays(
    tmp_path: Path, number: int, kind: type[Exception], rule: str
) -> None:
    def refuse(folder: Path) -> None:
        write_one(folder)
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=rule):
        run_step(tmp_path / "ridge", refuse)
    assert not (tmp_path / "ridge").exists()
    assert run_step(tmp_path / "ridge", write_one)
