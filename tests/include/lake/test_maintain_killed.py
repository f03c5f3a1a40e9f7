"""A kill -9 during upkeep leaves every row as it was, and the next upkeep ends what was begun."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from include.lake.asof import bars_as_of
from include.lake.catalog import read_operations
from include.lake.maintain import maintain_lake
from include.settings import PROJECT_ROOT, Settings
from tests.include.lake.commits import put_bars
from tests.include.lake.rows import bar_row, bar_rows

DAYS = [date(2018, 6, 1) + timedelta(days=number) for number in range(4)]
KILLS = 2
CHILD = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from include.lake.maintain import maintain_lake
from include.settings import Settings
settings = Settings(home=Path(sys.argv[1]), _env_file=None)
sys.stdout.write("ready\\n"); sys.stdout.flush()
maintain_lake(settings, now=datetime.now(UTC) + timedelta(days=401))
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four sessions in three files each, one of them corrected: there is something to merge and something to remove."""
    settings = Settings(home=tmp_path_factory.mktemp("begun"), _env_file=None)
    for symbol in "CAB":
        put_bars(settings.lake, bar_rows(bar_row(symbol, day) for day in DAYS))
    put_bars(settings.lake, bar_rows([bar_row("A", DAYS[0], close=1.75)]), replacing=True)
    return settings


def rows(settings: Settings) -> list[tuple[object, ...]]:
    return sorted(tuple(row.values()) for row in bars_as_of(settings.lake).to_pylist())


def kill_after(settings: Settings, seconds: float) -> bool:
    """Start upkeep in a process of its own and kill it; whether it was still at work."""
    command = [sys.executable, "-c", CHILD, str(settings.home)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        alive = child.poll() is None
        child.kill()
    return alive


def test_a_kill_loses_and_doubles_nothing(begun: Settings, tmp_path: Path) -> None:
    expected, operations = rows(begun), read_operations(begun.lake)
    chance = random.Random(4)
    killed = 0
    for number in range(KILLS):
        settings = Settings(home=tmp_path / str(number), _env_file=None)
        shutil.copytree(begun.home, settings.home)
        killed += kill_after(settings, chance.uniform(0.0, 0.15))
        assert rows(settings) == expected
        maintain_lake(settings)
        assert rows(settings) == expected
        assert read_operations(settings.lake) == operations
        assert maintain_lake(settings, dry_run=True).compactions == []
    assert killed >= 1
