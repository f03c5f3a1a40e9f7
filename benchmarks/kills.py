"""Kill -9 at any moment of ingest, release, repair and upkeep: the lake is as before or as after, a rerun converges.

kills       processes that died at work: half of them at a random moment, half right before or after a change they made
before      kills after which readers saw the lake as it was
between     of an operation in several uploads: as it is after some of them
after       as it is once it is done
unexplained kills after which readers saw anything else, or after which the same work again did not end as it would have
            without the kill: rows of every table, kept files, inbox, locks, files that nothing names
After a kill the work is done again, or first another upload comes, or that one was at work beside it all along.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from benchmarks.kill_child import Child, Done, Moment
from benchmarks.kill_scenes import OPERATIONS, OTHER, Operation
from benchmarks.lake_state import Files, LakeState, read_files, read_state
from benchmarks.report import Goal, report
from include.console import build_table, out, show_steps
from include.errors import ClosecastError
from include.lake.catalog import read_operations
from include.lake.maintain import TABLES, maintain_lake
from include.settings import Settings

GOALS = {"unexplained": Goal(at_most=0)}
FOLLOW = ("rerun", "rerun", "rerun", "rerun", "other", "beside")
_LOG_FILE = re.compile(r"\d{20}\.json|\d{20}\.checkpoint\.parquet|_last_checkpoint")


@dataclass(frozen=True)
class Trial:
    """One process to kill; `follow` says what comes after it, or goes on beside it."""

    name: str
    moment: Moment
    follow: str


@dataclass(frozen=True)
class Result:
    """What a trial came to: how many stages of the operation readers saw done, and whatever should not be."""

    trial: Trial
    died: bool
    stage: int | None
    faults: Sequence[str]


@dataclass
class Scene:
    """The home of one operation, and what the lake may come to from there, each worked out once and undisturbed."""

    name: str
    folder: Path
    operation: Operation = field(init=False)
    normal: Done = field(init=False)
    _reached: dict[tuple[str, ...], tuple[LakeState, Files]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.operation = OPERATIONS[self.name]
        self.folder.mkdir(parents=True)
        self.operation.prepare(_settings(self.folder / "home"))
        self.normal = self._watch()

    @property
    def stages(self) -> list[str]:
        """Names of the parts that may stand alone."""
        return [f"stage {number}" for number in range(len(self.operation.stages) or 1)]

    def copy_home(self, name: str) -> Settings:
        """Copy the home as it is before the operation."""
        shutil.copytree(self.folder / "home", self.folder / name)
        return _settings(self.folder / name)

    def reach(self, *actions: str) -> tuple[LakeState, Files]:
        """Tell what the home is after some actions: stages, the whole operation (`run`), the other upload (`other`)."""
        if actions not in self._reached:
            settings = self.copy_home("reached")
            for action in actions:
                self.act(settings, action)
            self._reached[actions] = self.read(settings), read_files(settings)
            shutil.rmtree(settings.home)
        return self._reached[actions]

    def act(self, settings: Settings, action: str) -> None:
        """Do one action in this process."""
        if action == "other":
            OTHER.run(settings)
        elif action == "run" or not self.operation.stages:
            self.operation.run(settings)
        else:
            self.operation.stages[self.stages.index(action)](settings)

    def read(self, settings: Settings) -> LakeState:
        """Read what is compared."""
        return read_state(settings, with_history=not self.operation.removes_history)

    def _watch(self) -> Done:
        """Do the operation in a process that is left alone."""
        settings = self.copy_home("watched")
        child = Child(self.name, settings.home, change=0)
        child.begin()
        done = child.finish()
        shutil.rmtree(settings.home)
        _require_done(done, self.name)
        return done


def run_trials(scenes: Sequence[Scene], count: int, *, seed: int) -> Iterator[Result]:
    """Kill until so many processes have died at work, the operations in turn.

    Parameters
    ----------
    scenes
        Of the operations.
    count
        How many must die; one that had ended when the signal came is given out too and does not count.
    seed
        Of the moments and of what follows.
    """
    chance = random.Random(seed)
    died = number = 0
    while died < count:
        turn, at = divmod(number, len(scenes))
        result = try_kill(scenes[at], choose_trial(scenes[at], chance, turn))
        died += result.died
        number += 1
        yield result


def choose_trial(scene: Scene, chance: random.Random, turn: int) -> Trial:
    """Choose a moment, in turn a random one and one at a change, and what follows."""
    if turn % 2:
        # It was timed with its changes watched, which takes a little longer.
        moment = Moment(seconds=chance.uniform(0, 0.9 * scene.normal.seconds))
    else:
        # By function first: a file that is moved happens once, and commits are few among folders that are made.
        changes = scene.normal.changes
        function = chance.choice(sorted(set(changes)))
        moment = Moment(change=chance.choice([at for at, name in enumerate(changes, 1) if name == function]))
    return Trial(scene.name, moment, chance.choice(FOLLOW))


def try_kill(scene: Scene, trial: Trial) -> Result:
    """Kill the operation on a copy of its home, look, go on, and look again."""
    settings = scene.copy_home("killed")
    ways, died = _list_ways(scene, with_other=trial.follow == "beside"), True
    try:
        died = _kill(settings, trial)
        way, faults = _find_way(scene, settings, ways)
        faults += _check_files(scene, settings)
        if way is not None:
            faults += _go_on(scene, settings, trial, way)
    except (ClosecastError, ValueError, OSError) as error:
        way, faults = None, [f"{type(error).__name__}: {error}"]
    shutil.rmtree(settings.home)
    stage = None if way is None else sum(action != "other" for action in way)
    return Result(trial, died, stage, faults)


def _kill(settings: Settings, trial: Trial) -> bool:
    """Kill, and tell whether the process was still at work."""
    child = Child(trial.name, settings.home, change=trial.moment.change)
    beside = Child(None, settings.home) if trial.follow == "beside" else None
    for each in [child, *([beside] if beside else [])]:
        each.begin()
    if trial.moment.change is None:
        time.sleep(trial.moment.seconds)
        done = child.kill()
    else:
        done = child.finish()
    if beside:
        _require_done(beside.finish(), "the other upload")
    if done is not None:
        _require_done(done, trial.name)
    return done is None


def _require_done(done: Done | None, name: str) -> None:
    if done is None or done.error:
        raise ClosecastError("what is not killed must end well", value=done and done.error, place=name)


def _list_ways(scene: Scene, *, with_other: bool) -> list[tuple[str, ...]]:
    """List the orders in which what is there may have come about."""
    ways = [tuple(scene.stages[:done]) for done in range(len(scene.stages) + 1)]
    if with_other:
        ways = [(*way[:at], "other", *way[at:]) for way in ways for at in range(len(way) + 1)]
    return ways


def _find_way(
    scene: Scene, settings: Settings, ways: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Find how the lake came to be what it is; upkeep changes nothing, so of several ways the last is taken."""
    state = scene.read(settings)
    for way in ways:
        if state == scene.reach(*way)[0]:
            return way, []
    told = [
        f"unlike {' + '.join(way) or 'before'}: {'; '.join(state.differences(scene.reach(*way)[0]))}" for way in ways
    ]
    return None, told


def _check_files(scene: Scene, settings: Settings) -> list[str]:
    """Tell of uploads that are nowhere: each that waited or is in the catalog must wait or be kept."""
    files, before = read_files(settings), scene.reach()[1]
    outside = {path.name for path in (settings.home / "outside").glob("*")}
    present = {*files.waiting, *files.kept}
    faults = [f"an upload is nowhere: {digest}" for digest in {*before.waiting, *before.kept} - present]
    for row in read_operations(settings.lake):
        if row["sha256"] not in present and row["name"] not in outside:
            faults.append(f"an ingested upload is nowhere: {row['kind']} {row['name']} {row['sha256']}")
    return faults


def _go_on(scene: Scene, settings: Settings, trial: Trial, way: tuple[str, ...]) -> list[str]:
    """Do what follows a kill, and tell of what did not end as it would have ended."""
    if trial.follow == "other":
        scene.act(settings, "other")
        way = (*way, "other")
        if faults := _compare(read_state(settings, with_history=False), scene.reach(*way)[0], "after another upload"):
            return faults
    scene.act(settings, "run")
    state, files = scene.reach(*way, "run")
    faults = _compare(scene.read(settings), state, "after the rerun")
    if (found := read_files(settings)) != files:
        faults.append(f"after the rerun: {found}, not {files}")
    return [*faults, *find_held_locks(settings), *_check_upkeep(settings, state)]


def _compare(found: LakeState, expected: LakeState, when: str) -> list[str]:
    """Tell what is not as expected; earlier versions only where both were read with them."""
    if not found.history or not expected.history:
        found, expected = found.without_history(), expected.without_history()
    return [f"{when}: {each}" for each in found.differences(expected)]


def find_held_locks(settings: Settings) -> list[str]:
    """Tell of locks that a dead process still holds."""
    held = []
    for path in settings.lake.glob(".*.lock"):
        try:
            FileLock(path).acquire(timeout=0).lock.release()
        except Timeout:
            held.append(f"lock {path.name} is held")
    return held


def _check_upkeep(settings: Settings, state: LakeState) -> list[str]:
    """Tell of what upkeep changes, and of files that it leaves and nothing names, two days later."""
    maintain_lake(settings, now=datetime.now(UTC) + timedelta(days=2))
    changed = _compare(read_state(settings, with_history=False), state, "after upkeep")
    return [*changed, *(f"left behind: {path.relative_to(settings.home)}" for path in find_strays(settings))]


def find_strays(settings: Settings) -> list[Path]:
    """List the files of a home that no log, no catalog and no rule names."""
    visible = [*settings.kept.glob("??/[!.]*"), *settings.inbox.glob("[!.]*"), settings.home / "outside"]
    known = {path for each in visible for path in [each, *each.rglob("*")]}
    for table in TABLES:
        folder = Path(table.path(settings.lake))
        logs = [path for path in (folder / "_delta_log").glob("*") if _LOG_FILE.fullmatch(path.name)]
        lines = [line for log in logs if log.suffix == ".json" for line in log.read_text().splitlines()]
        added = [json.loads(line)["add"]["path"] for line in lines if line.startswith('{"add"')]
        known |= {*logs, *(folder / path for path in added)}
    locks = set(settings.lake.glob(".*.lock"))
    return sorted(path for path in settings.home.rglob("*") if path.is_file() and path not in known | locks)


def _settings(home: Path) -> Settings:
    return Settings(home=home, _env_file=None)


def main() -> int:
    """Kill, count, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="Where to make the homes; some 20 MB.")
    given = parser.parse_args()
    started, results = time.perf_counter(), []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, show_steps() as open_step:
        line = open_step("Kill")
        scenes = [Scene(name, Path(folder) / name) for name in OPERATIONS]
        for result in run_trials(scenes, given.count, seed=given.seed):
            results.append(result)
            line.update(sum(each.died for each in results), given.count, result.trial.name)
        line.finish(f"{len(results)} trials, {time.perf_counter() - started:.0f} s")
    return _report(results, time.perf_counter() - started)


def _report(results: Sequence[Result], seconds: float) -> int:
    died = [result for result in results if result.died]
    names = list(dict.fromkeys(result.trial.name for result in results))
    rows = [[name, *(f"{count:,}" for count in _count(died, name).values())] for name in names]
    out.print(build_table("kills", ["operation", *_count(died, None)], rows))
    for result in results:
        for fault in result.faults:
            trial = result.trial
            sys.stdout.write(f"{trial.name}, killed at {trial.moment}, {trial.follow}: {fault}\n")
    unexplained = sum(bool(result.faults) for result in results)
    measured = _count(died, None) | {"ended_before": len(results) - len(died), "unexplained": unexplained}
    return 0 if report("kills", measured | {"seconds": seconds}, GOALS) else 1


def _count(died: Sequence[Result], name: str | None) -> dict[str, int]:
    """Count kills by what readers saw, of one operation or of all."""
    chosen = [result for result in died if name in (None, result.trial.name)]
    last = {key: len(operation.stages) or 1 for key, operation in OPERATIONS.items()}
    seen = Counter(
        "before" if not each.stage else "after" if each.stage == last[each.trial.name] else "between"
        for each in chosen
        if each.stage is not None
    )
    converged = sum(not each.faults for each in chosen)
    return {"kills": len(chosen), **{key: seen[key] for key in ("before", "between", "after")}, "converged": converged}


if __name__ == "__main__":
    sys.exit(main())
