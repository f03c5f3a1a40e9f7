"""Which task dies how: lanes that go on beside each other, each of one DAG, whose deaths follow each other.

Between two deaths of a lane the run that failed is taken up again and ends well: each is an incident of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.death_trials import (
    Died,
    Trial,
    freeze_supervisor,
    kill_supervisor,
    let_die,
    lose_worker,
)
from benchmarks.running import Running
from benchmarks.told import Ears
from include.console import Step

CHEAP = {
    "exception": "exception",
    "SIGKILL of the child": "SIGKILL",
    "os._exit": "os._exit",
    "out of memory": "out of memory",
    "segfault": "segfault",
}
"""Deaths of what does the work, by name; they are over at once, so every place has them."""

CLOSE_PLACES = ("ingest", "validate", "score", "check_future", "publish", "settle")
CALLBACK = "report_task_failure"
"""The house's failure callback of a task."""

STOCK_BOUND_S = 240.0
"""A stock task that has not failed by then hangs: a lost heartbeat costs 60 s a try."""

Lane = Sequence[Trial]


def build_house_lanes(session: str, places: Sequence[str]) -> list[Lane]:
    """List the deaths of the house's own DAGs, at some places of market_close; the session has its bars."""
    conf = {"session": session}
    in_close = [Trial(name, "market_close", way, work, conf) for work in places for name, way in CHEAP.items()]
    in_predict = [Trial(name, "predict_on_demand", way, "predict", conf) for name, way in CHEAP.items()]
    return [
        [*in_close, Trial("a callback that raises", "market_close", "exception", "score", conf, silenced=CALLBACK)],
        [*in_predict, Trial("worker gone", "predict_on_demand", "hang", "predict", conf, lose_worker)],
        [
            Trial("execution timeout", "maintain_lake", "hang", "maintain"),
            Trial("SIGKILL of the task's supervisor", "maintain_lake", "hang", "maintain", blow=kill_supervisor),
        ],
        [
            Trial("out of memory", "retrain_weekly", "out of memory", "fit"),
            Trial("hang without heartbeat", "retrain_weekly", "hang", "snapshot", blow=freeze_supervisor),
        ],
    ]


def build_stock_lanes() -> list[Lane]:
    """List the same deaths of a plain task."""
    return [
        [
            *(Trial(name, "stock", way, conf={"way": way}) for name, way in CHEAP.items()),
            Trial("a callback that raises", "stock_raising", "exception", conf={"way": "exception"}),
            Trial("execution timeout", "stock_in_time", "hang", conf={"way": "hang"}),
        ],
        [
            Trial("worker gone", "stock", "hang", conf={"way": "hang"}, blow=lose_worker),
            # Its time limit ends the task that has lost its supervisor: it raises by itself, as the house's does.
            Trial(
                "SIGKILL of the task's supervisor", "stock_in_time", "hang", conf={"way": "hang"}, blow=kill_supervisor
            ),
            Trial("hang without heartbeat", "stock", "hang", conf={"way": "hang"}, blow=freeze_supervisor),
        ],
    ]


def run_lanes(
    running: Running, ears: Ears, session: str, places: Sequence[str], line: Step
) -> tuple[list[list[Died]], list[Died]]:
    """Run all lanes beside each other; return the deaths of the house's by lane, and stock Airflow's."""
    house, stock = build_house_lanes(session, places), build_stock_lanes()
    total, done = sum(map(len, [*house, *stock])), itertools.count(1)

    def tell(trial: Trial) -> None:
        line.update(next(done), total, f"{trial.death}: {trial.place}")

    with ThreadPoolExecutor(len(house) + len(stock)) as pool:
        ours = [pool.submit(run_house_lane, running, ears, lane, tell) for lane in house]
        theirs = [pool.submit(run_stock_lane, running, lane, tell) for lane in stock]
        return [each.result() for each in ours], [died for each in theirs for died in each.result()]


def run_house_lane(running: Running, ears: Ears, lane: Lane, tell: Callable[[Trial], None]) -> list[Died]:
    """Let each trial die, wait until people know, take its run up again, and wait until they know that too."""
    found = []
    for trial in lane:
        died = let_die(running, trial)
        found.append(died)
        key = f"run_failed/{trial.dag_id}"
        ears.await_told(key, since=died.began_at)
        if died.state == "failed" and running.run_again(trial.dag_id, died.run_id) == "success":
            ears.await_told(key, since=died.began_at, is_over=True)
        tell(trial)
    return found


def run_stock_lane(running: Running, lane: Lane, tell: Callable[[Trial], None]) -> list[Died]:
    """Let each trial die."""
    found = []
    for trial in lane:
        found.append(let_die(running, trial, fails_in_s=STOCK_BOUND_S))
        tell(trial)
    return found
