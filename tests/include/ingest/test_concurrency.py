"""Ingests in processes of their own: at once, of the same bytes, and killed at the worst moment."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from include.ingest.ingest import ingest_upload
from include.lake.bars import open_bars
from include.lake.reads import read_all, read_partitions
from include.lake.tables import BARS, QUARANTINE, UPLOADS, lock_lake, table_version
from include.settings import PROJECT_ROOT, Settings

HEADER = "symbol,date,open,high,low,close\n"
DAY = date(2018, 6, 1)

INGEST = """
import sys
from pathlib import Path
from include.ingest.ingest import ingest_upload
from include.settings import Settings
settings = Settings(home=Path(sys.argv[1]), _env_file=None)
print("ready", flush=True)
sys.stdin.readline()
for path in sys.argv[2:]:
    told = lambda done, total, _: done == total and print("read", flush=True)
    ingest_upload(settings, Path(path), on_progress=told)
"""

KILLED = """
import os, sys
from pathlib import Path
from include.ingest import ingest
from include.settings import Settings
ingest.append_operation = lambda *_: os._exit(9)
ingest.ingest_upload(Settings(home=Path(sys.argv[1]), _env_file=None), Path(sys.argv[2]))
"""


def write(path: Path, symbols: list[str], close: float = 1.5) -> Path:
    path.write_text(HEADER + "".join(f"{symbol},{DAY},1,2,0.5,{close}\n" for symbol in symbols))
    return path


def start(settings: Settings, *paths: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INGEST, str(settings.home), *map(str, paths)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=PROJECT_ROOT)


def release(*processes: subprocess.Popen[str]) -> None:
    """Let processes that have imported everything begin together."""
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said


def symbols_in(settings: Settings) -> list[str]:
    return read_partitions(open_bars(settings.lake), "session", [DAY])["symbol"].to_pylist()


def test_uploads_of_one_session_from_two_processes_lose_nothing(settings: Settings, tmp_path: Path) -> None:
    names = {desk: [[f"{desk}{number}{leg}" for leg in "XY"] for number in range(8)] for desk in "AB"}
    files = {
        desk: [write(tmp_path / f"{desk}{number}.csv", symbols) for number, symbols in enumerate(every)]
        for desk, every in names.items()
    }
    both = [start(settings, *paths) for paths in files.values()]
    release(*both)
    finish(*both)
    assert symbols_in(settings) == sorted(symbol for every in names.values() for symbols in every for symbol in symbols)
    assert read_all(settings.lake, UPLOADS).num_rows == 16


def test_the_same_bytes_from_two_processes_are_one_upload(settings: Settings, tmp_path: Path) -> None:
    both = [start(settings, write(tmp_path / name, ["A", "B"])) for name in ("1.csv", "2.csv")]
    with lock_lake(settings.lake):
        release(*both)
        for process in both:
            assert process.stdout.readline() == "read\n"
        time.sleep(0.3)  # long enough for both to have asked whether the bytes are known, and to wait for the lock
    finish(*both)
    assert symbols_in(settings) == ["A", "B"]
    assert read_all(settings.lake, UPLOADS).num_rows == 1
    assert len(list(settings.kept.rglob("*.csv"))) == 1


def test_a_process_killed_between_bars_and_uploads_leaves_no_lock_and_no_double(
    settings: Settings, tmp_path: Path
) -> None:
    ingest_upload(settings, write(tmp_path / "1.csv", ["OLD"]))
    path = write(tmp_path / "2.csv", ["A", "B", "B"])
    path.write_text(path.read_text() + f"BAD,{DAY},-1,2,0.5,1.5\n")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(settings.home), str(path)], cwd=PROJECT_ROOT, check=False, timeout=60
    )
    assert killed.returncode == 9
    assert table_version(settings.lake, BARS) == 2
    assert symbols_in(settings) == ["OLD"]
    assert read_all(settings.lake, UPLOADS).num_rows == 1
    report = ingest_upload(settings, path)
    assert (report.rows, report.accepted, report.quarantined, report.duplicates) == (4, 2, 1, 1)
    assert symbols_in(settings) == ["A", "B", "OLD"]
    assert read_all(settings.lake, QUARANTINE).num_rows == 1
    assert read_all(settings.lake, UPLOADS)["rows"].to_pylist().count(4) == 1
