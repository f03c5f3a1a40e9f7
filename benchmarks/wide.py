"""Uploads with rows of 3.3 MB, each ingested in a process of its own: wide CSV and wide Parquet.

csv_seconds, parquet_seconds  from the inbox to committed bars and the kept file
peak_rss_gib                  the largest resident set of the two fresh processes
disk_gib_a_second             reading a file in order, in the same run; what the cache holds comes faster
sha256_gib_a_second           hashing alone, one core, in the same run
The files are written beside each other in a scratch folder, one at a time, which is not timed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import Goal, report
from benchmarks.resident import peak_rss_gib
from include.console import show_steps
from include.ingest.ingest import ingest_upload
from include.settings import Settings

GIB = 1 << 30
ROW_BYTES = 3_300_000
EXTRA_COLUMNS = 300_000
SESSION = "2018-06-01"
HEADER = "symbol,date,open,high,low,close,volume,market_cap"
BASE_GIB = 33
"""The size that the goals are for; smaller files are given their share of the time."""


def write_wide_csv(path: Path, size_bytes: int) -> int:
    """Write rows with 300,000 extra numbers each; return how many."""
    extra = ",".join(f"{value:.8f}" for value in np.random.default_rng(7).random(EXTRA_COLUMNS))
    tail = f",{SESSION},1,2,0.5,1.5,100,1000,{extra}\n".encode()
    rows = max(1, size_bytes // (len(tail) + 7))
    with path.open("wb") as file:
        names = ",".join(f"x{number}" for number in range(EXTRA_COLUMNS))
        file.write(f"{HEADER},{names}\n".encode())
        for number in range(rows):
            file.write(b"S%06d" % number)
            file.write(tail)
    return rows


def write_wide_parquet(path: Path, size_bytes: int) -> int:
    """Write rows with one payload column of 3.3 MB each, not compressible; return how many."""
    payload = np.random.default_rng(7).bytes(ROW_BYTES)
    rows, group = max(1, size_bytes // ROW_BYTES), 100
    schema = pa.schema([("symbol", pa.string()), ("date", pa.string())])
    for name in HEADER.split(",")[2:]:
        schema = schema.append(pa.field(name, pa.float64()))
    schema = schema.append(pa.field("payload", pa.binary()))
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=["symbol", "date"]) as writer:
        for start in range(0, rows, group):
            count = min(group, rows - start)
            cells: list[list[object]] = [[f"S{start + number:06d}" for number in range(count)], [SESSION] * count]
            cells += [[value] * count for value in (1.0, 2.0, 0.5, 1.5, 100.0, 1000.0)]
            cells.append([payload] * count)
            writer.write_table(
                pa.table([pa.array(each, field.type) for each, field in zip(cells, schema, strict=True)], schema=schema)
            )
    return rows


def read_alone(path: Path) -> dict[str, float]:
    """Read an upload in a fresh process; return seconds, rows and the peak of its resident set in GiB."""
    command = [sys.executable, "-m", "benchmarks.wide", "--read", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def report_ingest(path: Path) -> None:
    """Ingest an upload from the inbox of a new home here, and print what it took."""
    with tempfile.TemporaryDirectory(dir=path.parent) as home:
        settings = Settings(home=Path(home), _env_file=None)
        settings.inbox.mkdir()
        arrived = settings.inbox / path.name
        path.rename(arrived)
        started = time.perf_counter()
        found = ingest_upload(settings, arrived)
        seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "rows": found.accepted, "rss_gib": peak_rss_gib()}) + "\n")


def measure_disk(path: Path) -> float:
    """Return GiB a second of reading a file in order, its pages dropped from the cache first where that is allowed."""
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        block = bytearray(8 << 20)
        while file.readinto(block):
            pass
        return path.stat().st_size / GIB / (time.perf_counter() - started)


def measure_sha256() -> float:
    """Return GiB a second of SHA-256 on one core, the best of three."""
    block = bytes(256 << 20)
    laps = []
    for _ in range(3):
        started = time.perf_counter()
        hashlib.sha256(block)
        laps.append(time.perf_counter() - started)
    return len(block) / GIB / min(laps)


def main() -> int:
    """Write each file, read it in a fresh process, report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wide", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=2.0, help="size of each file")
    parser.add_argument("--scratch", type=Path, help="folder for the files; the system's temporary folder by default")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        report_ingest(given.read)
        return 0
    size, measured, peaks = int(given.gib * GIB), {}, []
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder, show_steps() as open_step:
        for form, write in (("csv", write_wide_csv), ("parquet", write_wide_parquet)):
            path = Path(folder) / f"wide.{form}"
            line = open_step(f"Write {given.gib:g} GiB of {form}")
            rows = write(path, size)
            line.finish(f"{rows:,} rows")
            line = open_step(f"Ingest {form}")
            measured[f"{form}_disk_gib_a_second"] = measure_disk(path)
            answer = read_alone(path)
            assert answer["rows"] == rows
            measured[f"{form}_seconds"] = answer["seconds"]
            peaks.append(answer["rss_gib"])
            line.finish(f"{answer['seconds']:.1f} s")
            path.unlink(missing_ok=True)  # ingest has taken it
    measured |= {"peak_rss_gib": max(peaks), "sha256_gib_a_second": measure_sha256(), "gib": given.gib}
    share = given.gib / BASE_GIB
    goals = {"csv_seconds": Goal(at_most=360 * share), "parquet_seconds": Goal(at_most=360 * share)}
    return 0 if report("wide", measured, goals | {"peak_rss_gib": Goal(at_most=1.5)}) else 1


if __name__ == "__main__":
    sys.exit(main())
