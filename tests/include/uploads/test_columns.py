"""Headers: every accepted name, which one wins, and what is told where one is absent."""

from __future__ import annotations

import pytest

from include.errors import InputError
from include.uploads.columns import ACCEPTED_NAMES, match_columns

PLAIN = ["symbol", "date", "open", "high", "low", "close", "volume", "market_cap"]


@pytest.mark.parametrize(
    ("header", "meaning"),
    [
        ("Coin", "symbol"),
        ("ticker", "symbol"),
        ("name", "symbol"),
        ("SESSION", "date"),
        ("Open*", "open"),
        (" Close** ", "close"),
        ("Close **", "close"),
        ("market", "market_cap"),
        ("Market Cap", "market_cap"),
        ("market-cap", "market_cap"),
    ],
)
def test_accepted_name(header: str, meaning: str) -> None:
    headers = [header if name == meaning else name for name in PLAIN]
    assert match_columns(headers, "day.csv") == {name: index for index, name in enumerate(PLAIN)}


def test_any_order_with_extra_columns() -> None:
    columns = match_columns(["rank", *reversed(PLAIN), "", ""], "day.csv")
    assert columns == {name: 8 - index for index, name in enumerate(PLAIN)}


def test_earliest_accepted_name_wins() -> None:
    headers = ["name", "ticker", "coin", *PLAIN]
    for position in (3, 2, 1, 0):
        assert match_columns(headers, "day.csv")["symbol"] == position
        headers[position] = "extra"
        headers[3] = "extra"


@pytest.mark.parametrize("meaning", ["volume", "market_cap"])
def test_optional_column_may_be_absent(meaning: str) -> None:
    assert meaning not in match_columns([name for name in PLAIN if name != meaning], "day.csv")


@pytest.mark.parametrize("meaning", ["symbol", "date", "open", "high", "low", "close"])
def test_absent_column_is_named_with_what_was_found(meaning: str) -> None:
    found = [name for name in PLAIN if name != meaning]
    with pytest.raises(InputError) as caught:
        match_columns(found, "day.csv")
    names = " or ".join(ACCEPTED_NAMES[meaning])
    expected = f"an upload must have a column for {meaning}, named {names}. Received: {', '.join(found)} (in day.csv)"
    assert str(caught.value) == expected


def test_same_column_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"once: close\. Received: close, Close\*\* \(in day\.csv\)"):
        match_columns([*PLAIN, "Close**"], "day.csv")


def test_extra_column_twice_is_no_error() -> None:
    assert match_columns([*PLAIN, "Coin", "coin"], "day.csv")["symbol"] == 0
