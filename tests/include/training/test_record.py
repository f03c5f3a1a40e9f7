"""A retrain that goes on as it was begun or not at all, and old records removed."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from filelock import FileLock

from include.errors import InputError, NotFoundError, UnavailableError
from include.provenance import code_version
from include.settings import Settings
from include.training.done import run_step
from include.training.fit import fit_model, read_fit
from include.training.record import (
    begin_retrain,
    choose_models,
    find_unfinished,
    finish_retrain,
    lock_retrain,
    name_retrain,
    open_retrain,
    read_bars,
)
from models.catalog import MODEL_NAMES
from tests.include.conftest import LAST, Own


def write_other(folder: Path) -> None:
    """A snapshot's record as another release writes it."""
    said = {"snapshot": {"first_session": "2024-01-01", "last_session": "2024-01-01", "holdout_from": "2024-01-01"}}
    (folder / "snapshot.json").write_text(json.dumps(said | {"names": []}))


def test_two_runs_never_share_a_folder() -> None:
    ids = ["manual__2026-03-01T03:00:00+00:00", "manual__2026-03-01T03-00-00+00:00", "../etc", "a/b", "a-b"]
    assert len({name_retrain(run_id) for run_id in ids}) == len(ids)
    assert not any("/" in name_retrain(run_id) or name_retrain(run_id).startswith(".") for run_id in ids)


@pytest.mark.parametrize("run_id", ["a" * 250, "scheduled__2026-03-01T03:00:00+00:00" + "a" * 214])
def test_the_longest_id_of_a_run_makes_a_folder_and_a_lock(tmp_path: Path, run_id: str) -> None:
    assert run_step(tmp_path / name_retrain(run_id), lambda folder: (folder / "file").touch())
    assert name_retrain(run_id) != name_retrain(run_id[:-1])


def test_a_retrain_does_not_go_on_with_other_settings(own: Own) -> None:
    with pytest.raises(InputError, match="with the settings that it was begun with"):
        open_retrain(own.settings.model_copy(update={"train_windows": 4000}), "weekly-1")


def test_a_retrain_does_not_go_on_with_other_code(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.training.record.code_version", lambda: "later")
    with pytest.raises(InputError, match=r"with the code that it was begun with.*Received: code later in place of"):
        open_retrain(own.settings, "weekly-1")
    again, _ = begin_retrain(own.settings, "weekly-1", names=["last_close", "ridge"], last_session=LAST)
    assert (again.code_version, again.snapshot) == ("later", own.retrain.snapshot)
    with pytest.raises(NotFoundError, match="must have been fitted on the retrain's snapshot"):
        read_fit(again, "ridge")


def test_a_snapshot_that_is_taken_anew_lets_no_old_fit_stand(own: Own) -> None:
    before = own.retrain.step("fit", "last_close", "done.json").stat().st_mtime_ns
    (own.retrain.step("snapshot") / "snapshot.json").write_text("{}")
    again, cube = begin_retrain(own.settings, "weekly-1", names=["last_close", "ridge"], last_session=date(2024, 3, 25))
    assert again.snapshot.last_session == date(2024, 3, 25)
    fit_model(own.settings, again, "last_close", cube=cube)
    assert own.retrain.step("fit", "last_close", "done.json").stat().st_mtime_ns > before
    assert read_fit(again, "last_close").read_forecasts().shape[0] == 20
    said = json.loads(own.retrain.step("fit", "last_close", "done.json").read_text())
    assert (said["basis"], said["code_version"]) == ({"snapshot": again.snapshot_sha256}, code_version())


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
    finish_retrain(settings, own.retrain)
    finish_retrain(settings, open_retrain(settings, "weekly-3"))
    assert sorted(path.name for path in settings.training.iterdir() if path.is_dir()) == ["weekly-2", "weekly-3"]


def test_a_third_retrain_that_may_be_at_work_is_kept(own: Own) -> None:
    settings, names = own.settings, ["weekly-0", "weekly-2", "weekly-3", "weekly-4"]
    for age, name in enumerate(names):
        begin_retrain(settings, name, names=["last_close"], last_session=LAST)
        for path in [settings.training / name, *(settings.training / name).rglob("*")]:
            os.utime(path, (1e9 + age, 1e9 + age))
    os.utime(own.retrain.step("snapshot", "done.json"), (1.5e9, 1.5e9))  # the newest: it is kept as such
    with lock_retrain(settings, "weekly-0"):
        finish_retrain(settings, open_retrain(settings, "weekly-4"))
    # weekly-0 is held, 2 and 3 are given up, 1 and 4 are the newest
    assert sorted(path.name for path in settings.training.glob("weekly-*")) == ["weekly-0", "weekly-1", "weekly-4"]
    begin_retrain(settings, "weekly-5", names=["last_close"], last_session=LAST)
    begin_retrain(settings, "weekly-6", names=["last_close"], last_session=LAST)
    finish_retrain(settings, open_retrain(settings, "weekly-6"))
    assert (settings.training / "weekly-1").exists()  # it has written today and has not finished


def test_what_died_before_its_snapshot_leaves_no_folder(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, at_it = own.settings.training / "by-hand-lost", own.settings.training / "by-hand-at-it"
    for folder in (lost, at_it):
        (folder / "snapshot").mkdir(parents=True)
        (folder / ".snapshot.lock").touch()
    with FileLock(at_it / ".snapshot.lock"):
        begin_retrain(own.settings, "weekly-2", names=["last_close"], last_session=LAST)
    assert (lost.exists(), at_it.exists()) == (False, True)
    with pytest.raises(InputError, match="bars must hold at least"):
        begin_retrain(own.settings, "weekly-3", names=["last_close"], last_session=date(2024, 1, 10))
    assert not (own.settings.training / "weekly-3").exists()


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
