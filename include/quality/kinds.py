"""The kinds of expectation that a YAML file may name, each with the parameters it takes.

A model a kind; a suite takes only the kinds that make sense for what it looks at. Strict: what is not known here is
refused, so a misspelt limit never passes for none.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NumberColumn = Literal["open", "high", "low", "close", "volume", "market_cap"]
Column = Literal["symbol", "session", "open", "high", "low", "close", "volume", "market_cap"]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10_000)]
RESERVED = (
    "level_confirmed",
    "number_is_readable",
    "one_row_a_symbol_and_session",
    "price_not_null",
    "row_has_all_fields",
    "symbol_is_text",
    "symbol_not_null",
)
"""Rules that rows are refused by before or after the suite: under such a name a release would let pass what it is not
asked to."""
Words = Annotated[str, Field(min_length=1, max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Entry(_Strict):
    """What every expectation has: a name, and what people are told."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    sentence: Words
    remedy: Words


class RowEntry(Entry):
    """An expectation of one row: a row that breaks it goes to quarantine."""

    severity: Literal["row"]

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"a name must not be one of the ingest's own rules: {', '.join(RESERVED)}")
        return name


class GateEntry(Entry):
    """An expectation of a session or a snapshot: it blocks, or it warns."""

    severity: Literal["session", "warn"]


class RangeLimits(_Strict):
    """Limits of numbers; a missing number breaks none of them."""

    columns: Annotated[list[NumberColumn], Field(min_length=1)]
    min: float | None = None
    max: float | None = None
    strict_min: bool = False
    strict_max: bool = False

    @model_validator(mode="after")
    def _has_a_limit(self) -> RangeLimits:
        if self.min is None and self.max is None:
            raise ValueError("a range must have min, max or both")
        if self.min is not None and self.max is not None and not self._has_numbers(self.min, self.max):
            raise ValueError(f"a range must have numbers between min and max. Received: {self.min:g} and {self.max:g}")
        return self

    def _has_numbers(self, low: float, high: float) -> bool:
        return low < high or (low == high and not (self.strict_min or self.strict_max))


class OrderLimits(_Strict):
    """Which price must be the lowest or the highest, and the rounding that is forgiven: the larger tolerance."""

    side: Literal["low", "high"]
    absolute_tolerance: Annotated[float, Field(ge=0)] = 1e-8
    relative_tolerance: Annotated[float, Field(ge=0)] = 1e-6


class SessionOnCalendar(RowEntry):
    """The session is one of the exchange's calendar."""

    kind: Literal["session_on_calendar"]


class SessionHasClosed(RowEntry):
    """The session is not after the newest that can have been uploaded."""

    kind: Literal["session_has_closed"]


class Text(RowEntry):
    """A text is short; that it has no control characters, the reader has seen to."""

    kind: Literal["text"]
    column: Literal["symbol"]
    longest: Count


class RowRange(RowEntry, RangeLimits):
    """Numbers lie between limits; `finite` refuses missing and infinite ones too, as the type that is named."""

    kind: Literal["range"]
    finite: Literal["float32", "float64"] | None = None


class RowOrder(RowEntry, OrderLimits):
    """Low is the lowest price of a row, or high the highest."""

    kind: Literal["order"]


class ColumnsExist(GateEntry):
    """The table has these columns."""

    kind: Literal["columns_exist"]
    columns: Annotated[list[Column], Field(min_length=1)]


class ColumnType(GateEntry):
    """The columns have this type."""

    kind: Literal["type"]
    columns: Annotated[list[NumberColumn], Field(min_length=1)]
    type: Literal["float64", "float32", "int64"]


class NotNull(GateEntry):
    """The columns are nowhere missing."""

    kind: Literal["not_null"]
    columns: Annotated[list[Column], Field(min_length=1)]


class Unique(GateEntry):
    """No two rows have the same values in these columns."""

    kind: Literal["unique"]
    columns: Annotated[list[Column], Field(min_length=1)]


class Distinct(GateEntry):
    """All but a share of the rows differ from every other in these numbers."""

    kind: Literal["distinct"]
    columns: Annotated[list[NumberColumn], Field(min_length=2)]
    most_share: Share


class Range(GateEntry, RangeLimits):
    """Numbers lie between limits."""

    kind: Literal["range"]


class Order(GateEntry, OrderLimits):
    """Low is the lowest price of every row, or high the highest."""

    kind: Literal["order"]


class Closed(GateEntry):
    """The session has closed."""

    kind: Literal["closed"]


class RowCount(GateEntry):
    """The row count, as a multiple of the median of the sessions before, lies between limits."""

    kind: Literal["row_count"]
    sessions: Count
    fewest: Annotated[float, Field(ge=0)] | None = None
    most: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> RowCount:
        if (self.fewest is None) == (self.most is None):
            raise ValueError("a row_count must have either fewest or most")
        return self


class SymbolsPresent(GateEntry):
    """Of the symbols of the session before, at most a share is missing."""

    kind: Literal["symbols_present"]
    most_missing: Share


class NotCopied(GateEntry):
    """At most a share of the symbols has the very numbers of the session before."""

    kind: Literal["not_copied"]
    most_share: Share


class Fresh(GateEntry):
    """So many sessions before it on the calendar are in the lake."""

    kind: Literal["fresh"]
    sessions: Annotated[int, Field(ge=1, le=250)]


class StaleCloses(GateEntry):
    """No symbol reaches so many equal closes running with this session."""

    kind: Literal["stale_closes"]
    closes: Annotated[int, Field(ge=2, le=60)]


class MovesLikeBefore(GateEntry):
    """No close moves beyond a robust limit of its symbol's own moves: see `include.quality.continuity`."""

    kind: Literal["moves"]
    sessions: Annotated[int, Field(ge=2, le=250)]
    deviations: Annotated[float, Field(gt=0)]
    floor: Annotated[float, Field(ge=0)]
    fewest: Count


class Drift(GateEntry):
    """No column's distribution leaves the reference kept with the model in Production."""

    kind: Literal["drift"]


class Sessions(GateEntry):
    """The snapshot has so many sessions."""

    kind: Literal["sessions"]
    fewest: Count


class Symbols(GateEntry):
    """Half of the snapshot's sessions have so many symbols."""

    kind: Literal["symbols"]
    fewest: Annotated[int, Field(ge=1)]


class MissingCells(GateEntry):
    """Between its first and last row a symbol lacks few sessions, over all symbols."""

    kind: Literal["missing_cells"]
    most_share: Share


class BlockedSessions(GateEntry):
    """Few of the snapshot's sessions are blocked by their own validation."""

    kind: Literal["blocked_sessions"]
    most_share: Share


class WithinCut(GateEntry):
    """No session lies after the snapshot's last one."""

    kind: Literal["within_cut"]


class FiniteMoves(GateEntry):
    """Every log return between two present closes of a symbol is finite."""

    kind: Literal["finite_moves"]


AnyRow = Annotated[
    SessionOnCalendar | SessionHasClosed | Text | RowRange | RowOrder,
    Field(discriminator="kind"),
]
AnySession = Annotated[
    ColumnsExist
    | ColumnType
    | NotNull
    | Unique
    | Distinct
    | Range
    | Order
    | Closed
    | RowCount
    | SymbolsPresent
    | NotCopied
    | Fresh
    | StaleCloses
    | MovesLikeBefore
    | Drift,
    Field(discriminator="kind"),
]
AnySnapshot = Annotated[
    Sessions | Symbols | MissingCells | BlockedSessions | WithinCut | FiniteMoves,
    Field(discriminator="kind"),
]
