"""Rows that are chained by hash: each holds the hash of the one before, so that none can be changed or left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

GENESIS = "0" * 64
"""What the first row has in place of the hash of the one before."""


def hash_row(row: Mapping[str, Any], *, optional: Collection[str] | None = None) -> str:
    """Return the SHA-256 of a row's words but its own `hash`, as hexadecimal text.

    The words are JSON with sorted keys, moments in UTC with microseconds.

    Parameters
    ----------
    row
        By column.
    optional
        Columns that are left out where they are null, so that rows from before they were there keep their hash; by
        default any.
    """
    absent = {key for key, value in row.items() if value is None and (optional is None or key in optional)}
    said = {key: _plain(value) for key, value in row.items() if key != "hash" and key not in absent}
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value


def find_chain_faults(
    rows: Iterable[Mapping[str, Any]], *, noun: str, hash_of: Callable[[Mapping[str, Any]], str] = hash_row
) -> list[str]:
    """Say where rows with sequence, previous_hash and hash are not as they were written, a sentence each.

    Parameters
    ----------
    rows
        In the order of their sequence, from the first on.
    noun
        What a row is called.
    hash_of
        How rows of this table are hashed.
    """
    faults, previous, expected = [], GENESIS, 1
    for row in rows:
        at = row["sequence"]
        if row["hash"] != hash_of(row):
            faults.append(f"{noun} {at} was changed after it was written")
        if at != expected:
            faults.append(f"{noun} {expected} must come where {noun} {at} does: missing, doubled or reordered")
        elif row["previous_hash"] != previous:
            faults.append(f"{noun} {at} does not follow the {noun} before it")
        previous, expected = row["hash"], at + 1
    return faults
