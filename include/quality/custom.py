"""Great Expectations' custom expectations: what its own do not know of prices and of the sessions before.

Each has a metric that the library computes over the batch and an expectation that judges it. The sessions before lie
beside the batch, as `frame.attrs["history"]`; the arithmetic is in `include.quality.rows` and `.history`. Importing
this module imports Great Expectations (seconds) and registers both.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar, Literal

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import MulticolumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
    multicolumn_condition_partial,
)
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from include.quality import history as found
from include.quality.history import Finding, SessionHistory
from include.quality.kinds import OrderLimits
from include.quality.rows import find_disorder
from include.schema import PRICES

SHOWN = 20
"""Names that a page shows."""


class PricesInOrder(MulticolumnMapMetricProvider):  # type: ignore[misc]  # the library has no types that reach here
    """Row by row: low is the lowest price, or high the highest, beyond rounding."""

    condition_metric_name = "prices.in_order"
    condition_domain_keys = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ("side", "absolute_tolerance", "relative_tolerance")

    @multicolumn_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column_list: Any, **kwargs: Any) -> Any:  # noqa: N805  # the decorator makes it a class method
        limits = OrderLimits(**{key: kwargs[key] for key in cls.condition_value_keys})
        broken = find_disorder({name: column_list[name].to_numpy() for name in PRICES}, limits)
        return pd.Series(~broken, index=column_list.index)


class ExpectPricesInOrder(MulticolumnMapExpectation):  # type: ignore[misc]
    """Expect low to be the lowest price of every row, or high the highest, beyond rounding."""

    side: Literal["low", "high"]
    absolute_tolerance: float
    relative_tolerance: float
    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = "never"

    map_metric = "prices.in_order"
    success_keys = ("side", "absolute_tolerance", "relative_tolerance", "mostly")


class _HistoryMetric(TableMetricProvider):  # type: ignore[misc]
    """A finding about the session and what came before it; subclasses say which."""

    @staticmethod
    def read(given: dict[str, Any]) -> SessionHistory:
        """Return what lies beside the batch that the library asks about."""
        engine, domain = given["execution_engine"], given["metric_domain_kwargs"]
        frame, _, _ = engine.get_compute_domain(domain_kwargs=domain, domain_type=MetricDomainTypes.TABLE)
        history: SessionHistory = frame.attrs["history"]
        return history


class MissingSymbols(_HistoryMetric):
    """Symbols of the session before that are not in this one."""

    metric_name = "session.missing_symbols"

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        return found.find_missing(cls.read(given))


class CopiedSymbols(_HistoryMetric):
    """Symbols whose numbers are those of the session before."""

    metric_name = "session.copied_symbols"

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        return found.find_copied(cls.read(given))


class AbsentSessions(_HistoryMetric):
    """Sessions before it on the calendar that the lake lacks."""

    metric_name = "session.absent_before"

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        return found.find_absent_sessions(cls.read(given))


class StaleSymbols(_HistoryMetric):
    """Symbols that reach so many equal closes."""

    metric_name = "session.stale_symbols"
    value_keys = ("closes",)

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        return found.find_stale(cls.read(given), **given["metric_value_kwargs"])


class WideMoves(_HistoryMetric):
    """Symbols whose close moved beyond their own limit."""

    metric_name = "session.wide_moves"
    value_keys = ("sessions", "deviations", "floor", "fewest")

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        return found.find_wide_moves(cls.read(given), **given["metric_value_kwargs"])


class DriftedColumns(_HistoryMetric):
    """Columns whose distribution has left the reference."""

    metric_name = "session.drifted_columns"

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        return found.find_drifted(cls.read(given))


class IsClosed(_HistoryMetric):
    """Whether the session has closed."""

    metric_name = "session.is_open"

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, **given: Any) -> Finding:  # noqa: N805
        history = cls.read(given)
        return Finding(
            [] if history.closed else [str(history.session)], 1, "closed" if history.closed else "not closed"
        )


class FewFound(BatchExpectation, ABC):  # type: ignore[misc]
    """What the expectations over findings share: at most a share of what was looked at may be found."""

    most_share: float = 0.0

    metric_dependencies: ClassVar[tuple[str, ...]] = ()
    success_keys: ClassVar[tuple[str, ...]] = ("most_share",)

    @classmethod
    def is_abstract(cls) -> bool:
        """Tell the library which classes are expectations: those with a metric."""
        return not cls.metric_dependencies or bool(super().is_abstract())

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        finding: Finding = metrics[self.metric_dependencies[0]]
        result = {
            "observed_value": finding.observed,
            "element_count": finding.of,
            "unexpected_count": len(finding.names),
            "unexpected_percent": 100 * finding.share,
            "partial_unexpected_list": finding.names[:SHOWN],
        }
        return {"success": finding.share <= self.most_share, "result": result}


class ExpectSymbolsOfSessionBefore(FewFound):
    """Expect nearly all symbols of the session before to be in this one."""

    metric_dependencies = ("session.missing_symbols",)


class ExpectSessionNotCopied(FewFound):
    """Expect the session not to be the one before once more."""

    metric_dependencies = ("session.copied_symbols",)


class ExpectSessionsBefore(FewFound):
    """Expect the sessions before it on the calendar to be in the lake."""

    metric_dependencies = ("session.absent_before",)


class ExpectClosesToChange(FewFound):
    """Expect no symbol to reach so many equal closes."""

    closes: int

    metric_dependencies = ("session.stale_symbols",)
    success_keys = ("most_share", "closes")


class ExpectMovesLikeBefore(FewFound):
    """Expect closes to move within their symbols' own habits."""

    sessions: int
    deviations: float
    floor: float
    fewest: int

    metric_dependencies = ("session.wide_moves",)
    success_keys = ("most_share", "sessions", "deviations", "floor", "fewest")


class ExpectSessionToHaveClosed(FewFound):
    """Expect the session to have closed."""

    metric_dependencies = ("session.is_open",)


class ExpectDistributionsOfReference(FewFound):
    """Expect every column's distribution to be like that of the sessions that the Production model has seen."""

    metric_dependencies = ("session.drifted_columns",)
