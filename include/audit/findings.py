"""What an audit finds: something that is not as it was written, with the run, symbol and column that it touches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Finding:
    """One thing that was changed.

    Attributes
    ----------
    area
        chain, published, forecasts, bars, outcomes, artifact, ledger.
    said
        What is wrong, in a sentence.
    run_ids
        The runs that it touches, as far as they are known.
    """

    area: str
    said: str
    run_ids: tuple[str, ...] = ()
    session: date | None = None
    symbol: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class Checked:
    """What one check of an audit came to: how much it looked at, what it found, what it could not look at."""

    area: str
    count: int
    noun: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
