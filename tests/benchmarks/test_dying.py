"""Orders to die are obeyed by the work of a child alone, each way ends as it says, and nothing is touched without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.dying.orders import FOLDER, Orders
from benchmarks.running import SITE
from include.settings import PROJECT_ROOT

WORK = "from include import tasks; print(tasks.parse_session('2024-03-01'))"

ENDS = {
    "exception": (1, "RuntimeError: a task of the benchmark dies by an exception"),
    "os._exit": (3, ""),
    "SIGKILL": (-9, ""),
    "segfault": (-11, ""),
    "out of memory": (1, "MemoryError"),
}


def work(orders: Path | None) -> subprocess.CompletedProcess[str]:
    """Do a task's work as a system does that a benchmark has started."""
    environment = {name: value for name, value in os.environ.items() if name != FOLDER}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (SITE, PROJECT_ROOT)))
    environment |= {FOLDER: str(orders)} if orders else {}
    return subprocess.run([sys.executable, "-c", WORK], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ENDS)
def test_work_dies_in_the_way_that_was_ordered(way: str, tmp_path: Path) -> None:
    Orders(tmp_path).give("parse_session", way)
    done = work(tmp_path)
    code, said = ENDS[way]
    assert done.returncode == code
    assert done.stderr.strip().endswith(said)
    assert done.stdout == f"dies now: {way}\n"


def test_work_whose_order_is_taken_back_or_is_another_s_is_done(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.give("score", "SIGKILL")
    orders.give("parse_session", "SIGKILL")
    orders.take_back("parse_session")
    assert work(tmp_path).stdout == "2024-03-01\n"


def test_nothing_dies_where_no_orders_are_named() -> None:
    assert work(None).stdout == "2024-03-01\n"
