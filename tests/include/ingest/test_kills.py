"""Work on the lake that is killed, or that the disk refuses: before or after, nothing between, and the rerun converges.

`python -m benchmarks.kills` does two hundred of what is done twenty times here.
"""

from __future__ import annotations

import ctypes
import resource
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from benchmarks.kill_child import Child, Done, Moment
from benchmarks.kills import Scene, Trial, find_held_locks, find_strays, run_trials, try_kill
from benchmarks.lake_state import read_state
from include.lake.maintain import maintain_lake
from include.lake.tables import BARS, append_rows
from include.settings import Settings

KILLS = 20
NAMES = ("first correction", "ingest", "release by form", "repair by form", "upkeep")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    folder = tmp_path_factory.mktemp("scenes")
    return {name: Scene(name, folder / name) for name in NAMES}


def test_a_kill_at_any_moment_leaves_before_or_after_and_a_rerun_converges(scenes: dict[str, Scene]) -> None:
    results = list(run_trials(list(scenes.values()), KILLS, seed=4))
    assert [(result.trial, result.faults) for result in results if result.faults] == []
    assert {result.trial.name for result in results} == set(NAMES)
    assert sum(result.died for result in results) == KILLS
    stages = Counter(result.stage for result in results)
    assert stages[0] >= 5
    assert stages[1] >= 1


@pytest.mark.parametrize("follow", ["rerun", "other"])
def test_tables_that_a_dead_process_began_hold_nothing_of_it(scenes: dict[str, Scene], follow: str) -> None:
    scene = scenes["first correction"]
    last_commit = max(at for at, name in enumerate(scene.normal.changes) if name == "write")
    result = try_kill(scene, Trial(scene.name, Moment(change=last_commit), follow))  # the row of `uploads` is next
    assert (result.died, result.stage, result.faults) == (True, 0, [])


def test_a_killed_release_has_kept_what_it_released(scenes: dict[str, Scene]) -> None:
    scene = scenes["release by form"]
    commits = [at for at, name in enumerate(scene.normal.changes, 1) if name == "write"]
    result = try_kill(scene, Trial(scene.name, Moment(change=commits[len(commits) // 2 - 1]), "rerun"))
    assert (result.died, result.stage, result.faults) == (True, 1, [])


def test_what_should_not_be_is_found(scenes: dict[str, Scene]) -> None:
    settings = scenes["ingest"].copy_home("spoilt")
    before = read_state(settings)
    assert (find_strays(settings), find_held_locks(settings)) == ([], [])
    stray = settings.lake / "bars" / "_delta_log" / "_commit_1.json.tmp"
    stray.touch()
    with FileLock(settings.lake / ".ingest.lock"):
        assert find_held_locks(settings) == ["lock .ingest.lock is held"]
    assert find_strays(settings) == [stray]
    append_rows(settings.lake, BARS, BARS.schema.empty_table())
    assert read_state(settings) == before  # no row of the catalog names it
    (settings.lake / "uploads" / "_delta_log" / f"{1:020d}.json").unlink()
    assert {text.split(":")[0] for text in read_state(settings).differences(before)} > {"uploads", "bars"}


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def drop_rights() -> None:
    """Give up what root may do to files that are not writable; for any other user there is nothing to give up."""
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    assert ctypes.CDLL(None).capset(header, nothing) == 0


def attempt(scene: Scene, settings: Settings, ail: partial[None]) -> Done:
    child = Child(scene.name, settings.home, ail=ail)
    child.begin()
    done = child.finish()
    assert done is not None, "the process died"
    return done


def refuse(scene: Scene, settings: Settings, ail: partial[None]) -> str:
    """Let the disk refuse an operation: it fails, and the lake is as before; return what was said."""
    error = attempt(scene, settings, ail).error
    assert error is not None
    assert scene.read(settings) == scene.reach()[0]
    return error


def converge(scene: Scene, settings: Settings) -> None:
    scene.act(settings, "run")
    assert (scene.read(settings)) == scene.reach("run")[0]
    shutil.rmtree(settings.home)


@pytest.mark.parametrize(("name", "size"), [("ingest", 0), ("ingest", 2500), ("release by form", 500), ("upkeep", 500)])
def test_where_no_file_can_be_written_the_lake_is_as_before(scenes: dict[str, Scene], name: str, size: int) -> None:
    scene = scenes[name]
    settings = scene.copy_home("full")
    files = set((settings.lake / "bars").rglob("*.parquet"))
    said = refuse(scene, settings, partial(limit_files, size))
    assert said.startswith("UnavailableError: there must be room for ")
    assert f"File too large (in {settings.home}/" in said
    assert set((settings.lake / "bars").rglob("*.parquet")) == files
    converge(scene, settings)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("name", ["first correction", "release by form"])
def test_a_disk_that_fills_up_is_told_wherever_it_happens(
    scenes: dict[str, Scene], small_disk: Path, name: str
) -> None:
    scene, said = scenes[name], []
    states = [scene.reach(*scene.stages[:done])[0] for done in range(len(scene.stages) + 1)]
    for free in (0, 16, 40, 64):
        settings = Settings(home=small_disk / "home", _env_file=None)
        shutil.copytree(scene.folder / "home", settings.home)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - free * 1024))
        said.append(attempt(scene, settings, partial(int)).error)
        filler.unlink()
        assert scene.read(settings) in states
        converge(scene, settings)
    failed = [text for text in said if text]
    assert len(failed) >= 2
    assert all(text.startswith("UnavailableError: there must be room") for text in failed)
    assert all(f"No space left on device (in {small_disk}/home" in text for text in failed)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("ingest", "lake"),
        ("ingest", "lake/bars"),
        ("ingest", "lake/uploads"),
        ("ingest", "lake/restatements"),
        ("release by form", "scratch"),
        ("release by form", "uploads"),
        ("upkeep", "lake"),
    ],
)
def test_where_permission_is_lost_the_lake_is_as_before(scenes: dict[str, Scene], name: str, place: str) -> None:
    scene = scenes[name]
    settings = scene.copy_home("closed")
    (settings.home / place).mkdir(exist_ok=True)
    folders = [path for path in [settings.home / place, *(settings.home / place).rglob("*")] if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    said = refuse(scene, settings, partial(drop_rights))
    assert said.startswith("InputError: ")
    assert "must be writable. Received: Permission denied (in " in said
    assert f"(in {settings.home}/{place.split('/', maxsplit=1)[0]}" in said
    for path in folders:
        path.chmod(0o755)
    converge(scene, settings)
    assert maintain_lake(settings, dry_run=True).removals == []
