"""An upload's rows, block by block: judged by the rules of an ingest, forecast, and given to all that is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from include.answers.batches import Batches
from include.answers.forecast import Forecasts, OneStepAhead
from include.answers.refusals import RefusalList
from include.answers.sheet import Sheet
from include.answers.trail import Trail
from include.ingest.judge import RowRules, judge_rows
from include.market.sessions import newest_ingestible_session, next_session
from include.quality.kinds import SessionHasClosed
from include.quality.suites import load_suites
from include.registry.artifact import ModelVersion
from include.scoring.graph import load_graph
from include.settings import Settings
from include.uploads.read import Upload

_GROUP_ROWS = 250_000
_CHUNK_ROWS = 1000
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Sinks:
    """Where rows go."""

    sheet: Sheet
    trail: Trail
    refusals: RefusalList

    def add(self, found: Forecasts) -> None:
        """Add rows that stand."""
        self.sheet.add(found)
        self.trail.add(found)

    def refuse(self, rows: pa.Table) -> None:
        """Add rows that do not stand."""
        self.refusals.add(rows)
        self.sheet.add_refused(rows)


@dataclass(frozen=True)
class Tally:
    """Rows that repeat one that stands, and whether no row was refused only because its session has not closed."""

    duplicates: int
    is_final: bool


def forecast_upload(settings: Settings, upload: Upload, model: ModelVersion, sinks: Sinks) -> Tally:
    """Forecast every row that stands and the session after each symbol's last; list the rows that do not stand.

    Parameters
    ----------
    settings
        Calendar and expectations that the rows are held against, threads of the graph.
    upload
        As it was read.
    model
        With its graph at hand.
    sinks
        Are added to; left to the one who opened them.
    """
    suite, now = load_suites(settings).rows, datetime.now(UTC)
    rules = RowRules(settings.calendar, suite, newest_session=newest_ingestible_session(settings.calendar, now))
    waiting = {entry.name for entry in suite if isinstance(entry, SessionHasClosed)}
    assert model.onnx is not None
    graph, symbols = load_graph(model.onnx, threads=1), upload.bars.symbols
    duplicates, is_final = 0, True
    with Batches(graph, symbols, horizons=model.horizons, threads=settings.threads) as batches:
        ahead = OneStepAhead(batches, len(symbols), model, upload.name)
        for group in upload.bars.groups(_GROUP_ROWS):
            verdict = judge_rows(_join_chunks(group), rules)
            if verdict.accepted.num_rows:
                sinks.add(ahead.forecast(verdict.accepted))
            for refusal in verdict.refused:
                is_final &= refusal.expectation not in waiting
                for rows in refusal.shape():
                    sinks.refuse(rows)
            duplicates += verdict.duplicates
    for rows in upload.refused.batches():
        sinks.refuse(rows)
    if ahead.last_day is not None:
        after = next_session(settings.calendar, _EPOCH + timedelta(days=ahead.last_day))
        sinks.add(ahead.forecast_next((after - _EPOCH).days))
    return Tally(duplicates, is_final)


def _join_chunks(rows: pa.Table) -> pa.Table:
    """Make one chunk of many small ones, each of which would be judged alone: a file by symbol comes row by row."""
    is_scattered = rows["open"].num_chunks * _CHUNK_ROWS > rows.num_rows
    return rows.combine_chunks() if is_scattered else rows
