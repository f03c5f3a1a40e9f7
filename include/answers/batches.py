"""Windows on their way through a graph: batches of one size, run side by side while the next are gathered.

A graph of hundreds of small steps gains little from threads within a step; each batch is run by one thread instead.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.answers.windows import Codes
from include.schema import TARGETS
from include.scoring.graph import run_graph

BATCH_WINDOWS = 1024
"""Windows in one run of a graph: what lies between its steps stays in the processor's cache."""

_AHEAD = 4
"""Batches that wait for each thread."""

Floats = npt.NDArray[np.float64]
Windows = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]


class Batches:
    """Threads that run a graph; a context manager that ends them.

    Parameters
    ----------
    graph
        As `include.scoring.graph.load_graph` gives it for one thread.
    symbols
        string, the upload's names by code.
    horizons
        Of the graph, of which the first is wanted.
    threads
        How many batches are run at a time.
    """

    def __init__(self, graph: Any, symbols: pa.Array, *, horizons: int, threads: int) -> None:
        self.graph, self._symbols, self._horizons = graph, np.asarray(symbols, dtype=object), horizons
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="answer-graph")
        self._most = _AHEAD * threads
        self._held: list[tuple[Rows, Codes, Windows]] = []
        self._running: deque[tuple[Rows, Future[Floats]]] = deque()

    def add(self, rows: Rows, codes: Codes, windows: Windows, returns: Floats) -> None:
        """Take the windows of some rows; what they give is written to those rows of `returns`, by `finish` at last."""
        self._held.append((rows, codes, windows))
        if sum(len(held) for held, _, _ in self._held) >= BATCH_WINDOWS:
            self._start(returns)

    def finish(self, returns: Floats) -> None:
        """Run what is held, and wait for all that runs."""
        self._start(returns)
        while self._running:
            self._write_oldest(returns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _start(self, returns: Floats) -> None:
        if not self._held:
            return
        rows, codes, windows = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
        self._held = []
        for start in range(0, len(rows), BATCH_WINDOWS):
            part = slice(start, start + BATCH_WINDOWS)
            while len(self._running) >= self._most:
                self._write_oldest(returns)
            self._running.append((rows[part], self._pool.submit(self._run, windows[part], codes[part])))

    def _write_oldest(self, returns: Floats) -> None:
        rows, found = self._running.popleft()
        returns[rows] = found.result()

    def _run(self, windows: Windows, codes: Codes) -> Floats:
        found = run_graph(self.graph, windows, self._symbols[codes], horizons=self._horizons)
        return found.reshape(len(found), -1, len(TARGETS))[:, 0].astype(np.float64)
