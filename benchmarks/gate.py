"""The gate in process: the rules of rows over a long history, and a session validated.

rows_seconds     every rule of the suite `rows` over 2 million rows of an upload, one thread (best of the runs)
pass_seconds     one comparison of each of the six number columns of the same rows, in the same run: what looking costs
session_seconds  a session of 10,000 symbols validated: read, judged by Great Expectations, results kept (best; the
                 median is given too); its page and the library's import are apart
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.report import Goal, report
from include.console import show_steps
from include.ingest.ingest import ingest_upload
from include.lake.bars import newest_session
from include.market.exchange import simulate_exchange, write_exchange
from include.quality.engine import prepare_library
from include.quality.results import ValidationReport
from include.quality.rows import find_broken_rows
from include.quality.session import validate_session
from include.quality.suites import DEFAULT_FILE, read_suites
from include.schema import WINDOW_COLUMNS
from include.settings import Settings

GOALS = {"rows_seconds": Goal(at_most=0.15), "session_seconds": Goal(at_most=0.25)}
BATCH = 50_000


def make_rows(count: int) -> pa.Table:
    """Make sound rows in batches, market cap missing in 13 % as in the real file."""
    random = np.random.default_rng(7)
    opening = np.exp(random.normal(0, 3, count))
    close = opening * np.exp(random.normal(0, 0.03, count))
    cap = np.where(random.random(count) < 0.13, np.nan, opening * 1e6)
    days = np.sort(random.integers(17_000, 17_200, count)).astype(np.int32)
    rows = pa.table(
        {
            "symbol": pa.array([f"SYMBOL{number % 10_000:05}" for number in range(count)]),
            "session": pa.array(days).cast(pa.date32()),
            "open": opening,
            "high": np.maximum(opening, close) * 1.01,
            "low": np.minimum(opening, close) * 0.99,
            "close": close,
            "volume": opening * 1e3,
            "market_cap": pa.array(cap, from_pandas=True),
        }
    )
    return pa.Table.from_batches(rows.to_batches(max_chunksize=BATCH))


def take_time(call: Callable[[], object], runs: int) -> float:
    """Return the seconds of the fastest of some runs, the first not counted."""
    call()
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


def compare_columns(rows: pa.Table) -> int:
    """Look at each number of each column once."""
    return sum(
        int((batch[name].to_numpy(zero_copy_only=False) > 0).sum())
        for batch in rows.to_batches()
        for name in WINDOW_COLUMNS
    )


def validate_often(home: Path, symbols: int, runs: int) -> tuple[list[float], list[float], ValidationReport]:
    """Validate the newest of eighty simulated sessions; return the seconds without the page, and the page's."""
    exchange = simulate_exchange(symbols=symbols, sessions=80, calendar="24/7", seed=7, last_session=date(2024, 3, 30))
    settings = Settings(home=home, _env_file=None)
    for path in write_exchange(exchange, home / "exchange", live_sessions=0):
        ingest_upload(settings, path)
    session = newest_session(settings.lake)
    prepare_library()
    validated, drawn = [], []
    for _ in range(runs + 1):
        started = time.perf_counter()
        found = validate_session(settings, session)
        drawn.append(found.page_seconds)
        validated.append(time.perf_counter() - started - found.page_seconds)
    return validated[1:], drawn[1:], found


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    pa.set_cpu_count(1)
    suite = read_suites(DEFAULT_FILE).rows
    with tempfile.TemporaryDirectory() as home, show_steps() as open_step:
        line = open_step("Judge rows")
        rows = make_rows(given.rows)
        judging = take_time(lambda: find_broken_rows(rows, suite, "24/7"), given.runs)
        looking = take_time(lambda: compare_columns(rows), given.runs)
        line.finish(f"{given.rows:,} rows")
        pa.set_cpu_count(os.cpu_count() or 1)
        line = open_step("Validate a session")
        validated, drawn, found = validate_often(Path(home), given.symbols, given.runs)
        line.finish(f"{len(found.results)} expectations")
    measured = {
        "rows_seconds": judging,
        "pass_seconds": looking,
        "session_seconds": min(validated),
        "session_median_seconds": statistics.median(validated),
        "page_seconds": statistics.median(drawn),
        "expectations": len(found.results),
        "rows": given.rows,
        "symbols": given.symbols,
    }
    return 0 if report("gate", measured, GOALS) else 1


if __name__ == "__main__":
    sys.exit(main())
