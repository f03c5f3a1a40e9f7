"""Suites run by Great Expectations: entries become its expectations, its results become ours.

One ephemeral context serves a process. Every expectation is first asked in a short form, and those that failed once
more for the rows that failed: asking for rows costs as much again, and most sessions have none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from include.quality import kinds
from include.quality.results import EXAMPLES, ExpectationResult

if TYPE_CHECKING:
    import pandas as pd

_SEVERITY = {"session": "critical", "warn": "warning"}
"""Our severity to the library's, which its pages show."""


@dataclass(frozen=True)
class SuiteRun:
    """What came of a suite: a result an entry, in the suite's order, and the library's own, for its pages."""

    results: list[ExpectationResult]
    library_result: Any


@dataclass(frozen=True)
class NotJudged:
    """Why an entry could not be judged; it counts as passed and says so."""

    why: str


Built = list[Any] | NotJudged


def run_suite(name: str, entries: Sequence[kinds.GateEntry], frame: pd.DataFrame, beside: Any) -> SuiteRun:
    """Run a suite over a frame.

    Parameters
    ----------
    name
        The suite's, for the library's pages.
    entries
        Of the suite.
    frame
        What is judged; a column `symbol`, where there is one, names the rows that fail.
    beside
        What lies beside the frame and limits depend on: a `history.SessionHistory`, or a `snapshot.Cut`.
    """
    batch_definition = prepare_library()
    from great_expectations import ExpectationSuite

    built = [_build_checked(entry, beside) for entry in entries]
    expectations = [each for found in built if not isinstance(found, NotJudged) for each in found]
    batch = batch_definition.get_batch({"dataframe": frame})
    ran = batch.validate(ExpectationSuite(name=name, expectations=expectations), result_format="BASIC")
    failed = [each for each in ran.results if not each.success and "unexpected_list" not in each.result]
    if failed and "symbol" in frame.columns:
        again = [each for each in expectations if _is_among(each, failed)]
        wanted = {
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["symbol"],
            "return_unexpected_index_query": False,
        }
        named = batch.validate(ExpectationSuite(name=name, expectations=again), result_format=wanted)
        ran.results = [_pick(each, named.results) for each in ran.results]
    results = [_read_entry(entry, found, ran.results) for entry, found in zip(entries, built, strict=True)]
    return SuiteRun(results, ran)


@lru_cache(maxsize=1)
def prepare_library() -> Any:
    """Import the library, make its context, and return the batch definition that every frame goes through."""
    # Set before the import: the library reports its use over the network unless told not to.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # hundreds of lines of its own otherwise
    import great_expectations as gx

    import include.quality.custom  # noqa: F401  # registers our own expectations

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("bars")
    return asset.add_batch_definition_whole_dataframe("whole")


def _build_checked(entry: kinds.GateEntry, beside: Any) -> Built:
    """Build an entry's expectations and mark each with the entry's name, words and severity."""
    built = build_expectations(entry, beside)
    if isinstance(built, NotJudged):
        return built
    for each in built:
        each.meta = {"entry": entry.name}
        each.notes = entry.remedy
        each.description = entry.sentence
        each.severity = _SEVERITY[entry.severity]
    return built


@singledispatch
def build_expectations(entry: kinds.GateEntry, beside: Any) -> Built:
    """Turn an entry into the library's expectations, or say why it can't be judged."""
    raise TypeError(f"an expectation must be one of the library's. Received: {type(entry).__name__}")


@build_expectations.register
def _(entry: kinds.ColumnsExist, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectTableColumnsToMatchSet(column_set=entry.columns, exact_match=False)]


@build_expectations.register
def _(entry: kinds.ColumnType, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnValuesToBeOfType(column=column, type_=entry.type) for column in entry.columns]


@build_expectations.register
def _(entry: kinds.NotNull, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnValuesToNotBeNull(column=column) for column in entry.columns]


@build_expectations.register
def _(entry: kinds.Unique, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    if len(entry.columns) == 1:
        return [gxe.ExpectColumnValuesToBeUnique(column=entry.columns[0])]
    return [gxe.ExpectCompoundColumnsToBeUnique(column_list=entry.columns)]


@build_expectations.register
def _(entry: kinds.Distinct, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectCompoundColumnsToBeUnique(column_list=entry.columns, mostly=1 - entry.most_share)]


@build_expectations.register
def _(entry: kinds.Range, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    limits = {"min_value": entry.min, "max_value": entry.max}
    strict = {"strict_min": entry.strict_min, "strict_max": entry.strict_max}
    return [gxe.ExpectColumnValuesToBeBetween(column=column, **limits, **strict) for column in entry.columns]


@build_expectations.register
def _(entry: kinds.Order, beside: Any) -> Built:
    from great_expectations.expectations.row_conditions import Column

    from include.quality.custom import ExpectPricesInOrder
    from include.schema import PRICES

    limits = {name: getattr(entry, name) for name in kinds.OrderLimits.model_fields}
    not_released = Column("released") == False  # noqa: E712  # the library's own way to write a condition
    return [ExpectPricesInOrder(column_list=list(PRICES), **limits, row_condition=not_released)]


@build_expectations.register
def _(entry: kinds.RowCount, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    counts = beside.counts[-entry.sessions :]
    if not len(counts):
        return NotJudged("not judged: the first session")
    usual = float(np.median(counts))
    if entry.fewest is not None:
        return [gxe.ExpectTableRowCountToBeBetween(min_value=int(np.ceil(entry.fewest * usual)))]
    assert entry.most is not None  # the model asks for one of the two
    return [gxe.ExpectTableRowCountToBeBetween(min_value=0, max_value=max(int(entry.most * usual), 1))]


@build_expectations.register
def _(entry: kinds.SymbolsPresent, beside: Any) -> Built:
    from include.quality.custom import ExpectSymbolsOfSessionBefore

    return [ExpectSymbolsOfSessionBefore(most_share=entry.most_missing)]


@build_expectations.register
def _(entry: kinds.NotCopied, beside: Any) -> Built:
    from include.quality.custom import ExpectSessionNotCopied

    return [ExpectSessionNotCopied(most_share=entry.most_share)]


@build_expectations.register
def _(entry: kinds.Fresh, beside: Any) -> Built:
    from include.quality.custom import ExpectSessionsBefore

    return [ExpectSessionsBefore()]


@build_expectations.register
def _(entry: kinds.Closed, beside: Any) -> Built:
    from include.quality.custom import ExpectSessionToHaveClosed

    return [ExpectSessionToHaveClosed()]


@build_expectations.register
def _(entry: kinds.StaleCloses, beside: Any) -> Built:
    from include.quality.custom import ExpectClosesToChange

    return [ExpectClosesToChange(closes=entry.closes)]


@build_expectations.register
def _(entry: kinds.MovesLikeBefore, beside: Any) -> Built:
    from include.quality.custom import ExpectMovesLikeBefore

    limits = {name: getattr(entry, name) for name in ("sessions", "deviations", "floor", "fewest")}
    return [ExpectMovesLikeBefore(**limits)]


@build_expectations.register
def _(entry: kinds.Drift, beside: Any) -> Built:
    from include.quality.custom import ExpectDistributionsOfReference

    if isinstance(beside.reference, str):
        return NotJudged(f"not judged: {beside.reference}")
    return [ExpectDistributionsOfReference()]


@build_expectations.register
def _(entry: kinds.Sessions, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectTableRowCountToBeBetween(min_value=entry.fewest)]


@build_expectations.register
def _(entry: kinds.Symbols, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnMedianToBeBetween(column="symbols", min_value=entry.fewest)]


@build_expectations.register
def _(entry: kinds.MissingCells, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnMeanToBeBetween(column="missing", max_value=entry.most_share)]


@build_expectations.register
def _(entry: kinds.BlockedSessions, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnMeanToBeBetween(column="blocked", max_value=entry.most_share)]


@build_expectations.register
def _(entry: kinds.WithinCut, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeBetween(column="session", max_value=beside.last_session),
        gxe.ExpectColumnValuesToBeUnique(column="session"),
    ]


@build_expectations.register
def _(entry: kinds.FiniteMoves, beside: Any) -> Built:
    from great_expectations import expectations as gxe

    return [gxe.ExpectColumnValuesToBeBetween(column="infinite", min_value=0, max_value=0)]


def _is_among(expectation: Any, results: Sequence[Any]) -> bool:
    return any(_same(expectation.configuration, each.expectation_config) for each in results)


def _pick(result: Any, named: Sequence[Any]) -> Any:
    """Return the longer answer to the same expectation where there is one."""
    return next((each for each in named if _same(each.expectation_config, result.expectation_config)), result)


def _same(one: Any, other: Any) -> bool:
    ours = ("column", "column_list", "side")
    return bool(
        one.type == other.type
        and one.meta["entry"] == other.meta["entry"]
        and all(one.kwargs.get(key) == other.kwargs.get(key) for key in ours)
    )


def _read_entry(entry: kinds.GateEntry, built: Built, results: Sequence[Any]) -> ExpectationResult:
    """Join what the library found for an entry, which may be several of its expectations."""
    if isinstance(built, NotJudged):
        return ExpectationResult(entry.name, entry.severity, True, 0, [], built.why)
    mine = [each for each in results if each.expectation_config.meta["entry"] == entry.name]
    names = list(dict.fromkeys(name for each in mine if not each.success for name in _read_names(each)))
    said = [_read_detail(each, tell_column=len(mine) > 1) for each in mine if not each.success or len(mine) == 1]
    return ExpectationResult(
        expectation=entry.name,
        severity=entry.severity,
        success=all(each.success for each in mine),
        unexpected_count=sum(_read_count(each) for each in mine if not each.success),
        symbols=names[:EXAMPLES],
        detail="; ".join(filter(None, said)),
    )


def _read_count(result: Any) -> int:
    return int((result.result or {}).get("unexpected_count") or 0)


def _read_names(result: Any) -> list[str]:
    found = result.result or {}
    if "unexpected_index_list" in found:
        return [str(row["symbol"]) for row in found["unexpected_index_list"] or []]
    return [str(name) for name in found.get("partial_unexpected_list") or []]


def _read_detail(result: Any, *, tell_column: bool) -> str:
    """Say what was observed, or why the library could not look."""
    observed = (result.result or {}).get("observed_value")
    said = _read_exception(result.exception_info or {}) or (f"observed {observed}" if _is_short(observed) else "")
    said += _say_limits(result.expectation_config.kwargs) if said and _is_short(observed) else ""
    column = result.expectation_config.kwargs.get("column")
    return f"{column}: {said or f'{_read_count(result)} rows'}" if tell_column else said


def _say_limits(kwargs: dict[str, Any]) -> str:
    """Say what was allowed, where that is a range."""
    said = {"at least": kwargs.get("min_value"), "at most": kwargs.get("max_value")}
    given = [f"{words} {limit:g}" for words, limit in said.items() if isinstance(limit, int | float)]
    return f", allowed {' and '.join(given)}" if given else ""


def _is_short(observed: Any) -> bool:
    """Say whether what was observed is a figure or a few words, and not a list of all there is."""
    return isinstance(observed, str | int | float)


def _read_exception(info: dict[str, Any]) -> str:
    """Return the library's message: it comes flat, or below the metric that raised."""
    below = [info, *(each for each in info.values() if isinstance(each, dict))]
    return next((str(each["exception_message"]) for each in below if each.get("exception_message")), "")
