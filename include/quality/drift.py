"""Whether a session looks like those that the Production model has seen: PSI and Kolmogorov-Smirnov, without p-values.

At 10,000 symbols a p-value calls nearly every session different (90 % of US sessions at 1e-6), since markets move
together. What counts is how far the statistic itself went from session to session in the reference period: a session
has drifted where it goes clearly beyond what that period's sessions did. The reference is small, goes into a JSON file,
and is kept with the model version.

PSI = sum over bins of (p - q) ln(p / q), p the session's share, q the reference's. N. Siddiqi, Credit Risk Scorecards
(Wiley, 2006), chapter "Scorecard Development Process, Stage 7". KS = max |F_session - F_reference| on the bins' edges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from include.errors import InputError
from include.quality.drift_columns import BACK_SESSIONS, COLUMNS, OWN_COLUMNS, SHARES, derive_columns

Floats = npt.NDArray[np.float64]

REFERENCE_SESSIONS = 250
"""Newest sessions of a snapshot that make the reference: a year of an exchange, eight months of a coin."""

FEWEST_SESSIONS = 30
"""Sessions below which a period cannot say how a statistic moves."""

FEWEST_SYMBOLS = 30
"""Values below which a session's distribution of a column is not judged."""

LEVELS = np.array(
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05]
    + [step / 20 for step in range(2, 19)]
    + [0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995]
)
"""Quantiles of the reference at which the bins end.

Fine in the tails: a market that falls by a tenth moves every coin into the lowest tenth of the returns, a feed that is
wrong by a half moves it into the lowest thousandth; with ten equal bins the two look the same.
"""

MARGINS = np.array([1.5 if name in OWN_COLUMNS else 2.0 for name in COLUMNS])
"""How many times what the reference period reached a column's statistic must reach.

Columns that move with the market need more room, since its storms grow beyond those of the year before; docs/drift.md
has what other values give on both real files.
"""

LIMIT_RANK = 2
"""The limit starts from the second largest statistic of the period, so that one bad session in it blinds nothing."""

SHARE_MARGIN = 0.1
"""How far beyond the same a share must go, absolute: most shares stay at zero for a year and then reach 0.03."""

_FORMAT = 1
_SHAPES = {
    "edges": (len(COLUMNS), len(LEVELS)),
    "bins": (len(COLUMNS), len(LEVELS) + 1),
    "shares": (len(SHARES),),
    "psi_limits": (len(COLUMNS),),
    "ks_limits": (len(COLUMNS),),
    "share_limits": (len(SHARES),),
}
_EDGE_VALUES = 400_000
_SMOOTHING = 0.5


@dataclass(frozen=True)
class ColumnDrift:
    """One statistic of one column: `drifted` where value is above limit."""

    column: str
    statistic: str
    value: float
    limit: float

    @property
    def drifted(self) -> bool:
        """Whether the session goes beyond what the reference period did."""
        return self.value > self.limit


@dataclass(frozen=True)
class DriftReference:
    """Distributions of the sessions that a model has seen, and how far single sessions strayed from them.

    Attributes
    ----------
    first_session, last_session, sessions
        The period.
    edges
        float64 (12, 31), where the bins of each of `COLUMNS` end; NaN for a column without values.
    bins
        float64 (12, 32), share of the reference's values in each bin (below or at an edge, above the one before).
    shares
        float64 (6,), mean of each of `SHARES`.
    psi_limits, ks_limits, share_limits
        float64 (12,), (12,), (6,): beyond which a session has drifted; NaN where there is nothing to judge by.
    """

    first_session: date
    last_session: date
    sessions: int
    edges: Floats
    bins: Floats
    shares: Floats
    psi_limits: Floats
    ks_limits: Floats
    share_limits: Floats

    def to_json(self) -> str:
        """Return the reference as JSON that reads back the same."""
        fields = {
            name: _as_lists(value) if isinstance(value, np.ndarray) else value for name, value in vars(self).items()
        }
        said = {"format": _FORMAT, "columns": COLUMNS, "share_columns": SHARES, **fields}
        return json.dumps(said, default=str, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> DriftReference:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            It is not a reference, or one of other columns than are compared now.
        """
        try:
            said = json.loads(text)
            columns = (said["format"], tuple(said["columns"]), tuple(said["share_columns"]))
            _require_same_columns(columns)
            fields: dict[str, Any] = {name: said[name] for name in cls.__dataclass_fields__}
            for name in ("first_session", "last_session"):
                fields[name] = date.fromisoformat(fields[name])
            for name, shape in _SHAPES.items():
                fields[name] = np.array(fields[name], dtype=np.float64).reshape(shape)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError("a drift reference must be as it was written", value=str(error), place="drift") from error
        return cls(**fields)


def build_reference(values: npt.NDArray[np.floating], sessions: Sequence[date]) -> DriftReference:
    """Describe the newest sessions of a cube.

    Parameters
    ----------
    values
        Float (n_sessions, n_symbols, 6), columns as `schema.WINDOW_COLUMNS`, oldest first, NaN where there is no row.
    sessions
        (n_sessions,), their dates. The newest `REFERENCE_SESSIONS` are described; those before them are looked back on.

    Raises
    ------
    InputError
        There are fewer than `FEWEST_SESSIONS` sessions with one before them.
    """
    first = max(1, len(values) - REFERENCE_SESSIONS)
    if len(values) - first < FEWEST_SESSIONS:
        rule = f"a drift reference needs at least {FEWEST_SESSIONS + 1} sessions"
        raise InputError(rule, value=len(values), place="drift")
    edges = _quantiles(values, first)
    found = [(_count_below(columns, edges), shares) for columns, shares in _derive_each(values, first)]
    below, shares = np.stack([counts for counts, _ in found]), np.stack([share for _, share in found])
    bins = smooth_counts(_bin_counts(below.sum(axis=0)))
    psi, ks = _compare(below, bins)
    usual = _mean_present(shares)
    return DriftReference(
        first_session=sessions[first],
        last_session=sessions[-1],
        sessions=len(values) - first,
        edges=edges,
        bins=bins,
        shares=usual,
        psi_limits=MARGINS * _usual_most(psi),
        ks_limits=1 - (1 - _usual_most(ks)) ** MARGINS,  # KS ends at 1: what is left to 1 shrinks instead
        share_limits=_usual_most(np.abs(shares - usual)) + SHARE_MARGIN,
    )


def judge_session(
    reference: DriftReference, today: npt.NDArray[np.floating], before: npt.NDArray[np.floating]
) -> list[ColumnDrift]:
    """Compare a session with the reference.

    Parameters
    ----------
    reference
        From `build_reference`.
    today
        Float (n_symbols, 6); NaN where a symbol has no row.
    before
        Float (n_sessions_back, n_symbols, 6), oldest first, the session before last; `BACK_SESSIONS` or more make
        `volume_level` what it was in the reference.

    Returns
    -------
    list of ColumnDrift
        PSI and KS for each column, and each share, that both the reference and the session have.
    """
    columns, shares = derive_columns(today, before)
    psi, ks = _compare(_count_below(columns, reference.edges)[None], reference.bins)
    away = np.abs(shares.astype(np.float64) - reference.shares)
    found = [
        *zip(COLUMNS, ["psi"] * len(COLUMNS), psi[0], reference.psi_limits, strict=True),
        *zip(COLUMNS, ["ks"] * len(COLUMNS), ks[0], reference.ks_limits, strict=True),
        *zip(SHARES, ["share"] * len(SHARES), away, reference.share_limits, strict=True),
    ]
    judged = [ColumnDrift(name, kind, float(value), float(limit)) for name, kind, value, limit in found]
    return [drift for drift in judged if np.isfinite([drift.value, drift.limit]).all()]


def _derive_each(values: npt.NDArray[np.floating], first: int, step: int = 1) -> Iterator[tuple[Any, Any]]:
    """Derive the sessions from `first` on, one at a time: all at once would take 130 MB for 10,000 symbols."""
    for at in range(first, len(values)):
        yield derive_columns(values[at, ::step], values[max(0, at - BACK_SESSIONS) : at, ::step])


def _quantiles(values: npt.NDArray[np.floating], first: int) -> Floats:
    """Find where the bins end, from every n-th symbol where there are very many; the bins are counted over all."""
    step = max(1, (len(values) - first) * values.shape[1] // _EDGE_VALUES)
    pooled = np.concatenate([columns for columns, _ in _derive_each(values, first, step)], axis=1)
    present = [column[np.isfinite(column)] for column in pooled]
    # An edge must be a value that came: between two, a column of many equal values would have a bin that no value ends.
    return np.stack(
        [
            np.quantile(column, LEVELS, method="inverted_cdf").astype(np.float64)
            if len(column) >= FEWEST_SYMBOLS
            else np.full(len(LEVELS), np.nan)
            for column in present
        ]
    )


def _count_below(columns: npt.NDArray[np.float32], edges: Floats) -> npt.NDArray[np.int64]:
    """Count for each column the values at or below each edge, and all; (n_columns, n_edges + 1)."""
    above = np.count_nonzero(columns[:, None, :] > edges[:, :, None].astype(np.float32), axis=-1)
    present = np.count_nonzero(np.isfinite(columns), axis=-1)[:, None]
    return np.concatenate([present - above, present], axis=1)


def _bin_counts(below: npt.NDArray[np.integer]) -> Floats:
    return np.diff(below, axis=-1, prepend=0).astype(np.float64)


def smooth_counts(counts: Floats) -> Floats:
    """Return shares, none of them zero: half a value is added to each bin."""
    return np.asarray((counts + _SMOOTHING) / (counts + _SMOOTHING).sum(axis=-1, keepdims=True))


def _compare(below: npt.NDArray[np.integer], bins: Floats) -> tuple[Floats, Floats]:
    """Return PSI and KS of sessions against the reference's bins, (n_sessions, n_columns) each."""
    share = smooth_counts(_bin_counts(below))
    psi = ((share - bins) * np.log(share / bins)).sum(axis=-1)
    present = below[..., -1:]
    ks = np.abs(below / np.maximum(present, 1) - np.cumsum(bins, axis=-1)).max(axis=-1)
    judged = present[..., 0] >= FEWEST_SYMBOLS
    return np.where(judged, psi, np.nan), np.where(judged, ks, np.nan)


def _usual_most(statistic: Floats) -> Floats:
    """Return the largest but `LIMIT_RANK` - 1 of each column over the sessions; NaN where too few have one."""
    present = np.isfinite(statistic).sum(axis=0)
    ordered = np.sort(np.where(np.isfinite(statistic), statistic, -np.inf), axis=0)
    return np.where(present >= FEWEST_SESSIONS, ordered[-LIMIT_RANK], np.nan)


def _mean_present(values: npt.NDArray[np.floating]) -> Floats:
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, values, 0).sum(axis=0, dtype=np.float64) / present.sum(axis=0))


def _require_same_columns(columns: tuple[object, ...]) -> None:
    if columns != (_FORMAT, COLUMNS, SHARES):
        raise InputError("a drift reference must have the columns that are compared", value=columns, place="drift")


def _as_lists(values: Floats) -> Any:
    """Return nested lists with None for NaN, which JSON does not know."""
    return np.where(np.isfinite(values), values.astype(object), np.array(None)).tolist()
