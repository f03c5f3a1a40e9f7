"""Steps that are done once, done again where their files are not as they were left, and old records removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from include.errors import InputError, NotFoundError, UnavailableError
from include.settings import Settings
from include.training.record import (
    begin_retrain,
    choose_models,
    find_unfinished,
    finish_retrain,
    is_done,
    lock_retrain,
    name_retrain,
    open_retrain,
    read_bars,
    run_step,
)
from models.catalog import MODEL_NAMES
from tests.include.conftest import LAST, Own


def write_one(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("one")


def write_other(folder: Path) -> None:
    """A snapshot's record as another release writes it."""
    said = {"snapshot": {"first_session": "2024-01-01", "last_session": "2024-01-01", "holdout_from": "2024-01-01"}}
    (folder / "snapshot.json").write_text(json.dumps(said | {"names": []}))


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


def test_two_runs_never_share_a_folder() -> None:
    ids = ["manual__2026-03-01T03:00:00+00:00", "manual__2026-03-01T03-00-00+00:00", "../etc", "a/b", "a-b"]
    assert len({name_retrain(run_id) for run_id in ids}) == len(ids)
    assert not any("/" in name_retrain(run_id) or name_retrain(run_id).startswith(".") for run_id in ids)


@pytest.mark.parametrize("run_id", ["a" * 250, "scheduled__2026-03-01T03:00:00+00:00" + "a" * 214])
def test_the_longest_id_of_a_run_makes_a_folder_and_a_lock(tmp_path: Path, run_id: str) -> None:
    assert run_step(tmp_path / name_retrain(run_id), write_one)
    assert name_retrain(run_id) != name_retrain(run_id[:-1])


def test_a_retrain_does_not_go_on_with_other_settings(own: Own) -> None:
    with pytest.raises(InputError, match="with the settings that it was begun with"):
        open_retrain(own.settings.model_copy(update={"train_windows": 4000}), "weekly-1")


def test_a_record_that_cannot_be_read_holds_up_no_other(own: Own) -> None:
    record = own.retrain.step("snapshot") / "snapshot.json"
    record.write_text(record.read_text() + " ")
    assert find_unfinished(own.settings, "weekly", own.retrain.snapshot, own.retrain.names) is None
    run_step(own.settings.training / "weekly-0" / "snapshot", write_other)
    assert find_unfinished(own.settings, "weekly", own.retrain.snapshot, own.retrain.names) is None


def test_a_retrain_that_was_begun_is_opened_and_reads_the_same(own: Own) -> None:
    again, cube = begin_retrain(own.settings, own.retrain.retrain_id, names=["last_close"])
    assert again == own.retrain
    assert cube.sessions[-1] == LAST


def test_symbol_changes_that_are_edited_meanwhile_are_noticed(own: Own) -> None:
    symbol = str(own.cube.symbols[0])
    lines = ["symbol,successor,session", f"{symbol},renamed,2024-01-15"]
    own.settings.symbol_changes_file.write_text("\n".join(lines))
    with pytest.raises(InputError, match="a snapshot must hold the same bars at every step"):
        read_bars(own.settings, own.retrain)


def test_a_retrain_without_a_snapshot_is_not_there(own: Own) -> None:
    with pytest.raises(NotFoundError, match=r"must have taken its snapshot\. Received: other"):
        open_retrain(own.settings, "other")


def test_only_what_stopped_and_would_be_begun_just_so_is_taken_up_again(own: Own) -> None:
    settings, snapshot, names = own.settings, own.retrain.snapshot, own.retrain.names
    assert find_unfinished(settings, "weekly", snapshot, names) == "weekly-1"
    assert find_unfinished(settings, "by-hand", snapshot, names) is None
    assert find_unfinished(settings, "weekly", snapshot, names[:1]) is None
    assert find_unfinished(settings.model_copy(update={"seed": 8}), "weekly", snapshot, names) is None
    finish_retrain(settings, own.retrain)
    assert find_unfinished(settings, "weekly", snapshot, names) is None


def test_the_newest_two_records_are_kept(own: Own) -> None:
    settings = own.settings
    for age, name in enumerate(("weekly-2", "weekly-3")):
        begin_retrain(settings, name, names=["last_close"], last_session=LAST)
        marker = settings.training / name / "snapshot" / "done.json"
        os.utime(marker, (2e9 + age, 2e9 + age))
    finish_retrain(settings, open_retrain(settings, "weekly-3"))
    assert sorted(path.name for path in settings.training.iterdir() if path.is_dir()) == ["weekly-2", "weekly-3"]


def test_two_processes_are_never_at_the_same_retrain(own: Own) -> None:
    with lock_retrain(own.settings, "weekly-1"):
        with pytest.raises(UnavailableError, match="no other process may be at the same retrain"):
            lock_retrain(own.settings, "weekly-1").__enter__()
        with lock_retrain(own.settings, "weekly-2"):
            pass


def test_a_retrain_takes_the_models_named_or_set_or_all_and_always_the_measure(settings: Settings) -> None:
    own = settings.model_copy(update={"models": "ridge, bigru"})
    assert choose_models(own) == ("last_close", "ridge", "bigru")
    assert choose_models(own, ["linear_sgd", "last_close"]) == ("linear_sgd", "last_close")
    assert choose_models(settings) == MODEL_NAMES
    with pytest.raises(NotFoundError, match="model must be one of .*Received: prophet"):
        choose_models(settings.model_copy(update={"models": "prophet"}))
