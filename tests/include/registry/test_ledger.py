"""The ledger: a line that was changed, left out or put elsewhere is found; who served when; where a rollback goes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from deltalake.exceptions import DeltaError
from hypothesis import given
from hypothesis import strategies as st

from include.errors import UnavailableError
from include.lake.chain import GENESIS
from include.lake.tables import PROMOTIONS, open_table
from include.registry.ledger import (
    Line,
    append_line,
    find_anchor_faults,
    find_faults,
    hash_line,
    list_served,
    name_anchor,
    read_ledger,
    serving_line,
)
from include.settings import Settings

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def make_lines(*moves: tuple[str, int]) -> list[Line]:
    """Lines a day apart."""
    lines: list[Line] = []
    for number, (action, version) in enumerate(moves, start=1):
        lines.append(
            Line(
                sequence=number,
                at=BEGIN + timedelta(days=number),
                model_name="closecast",
                from_version=lines[-1].to_version if lines else None,
                to_version=version,
                action=action,
                who="ada",
                why="für Δ",
                moved_at=None,
                detail=None,
                request=str(number),
                previous_hash=lines[-1].hash if lines else GENESIS,
            ).sealed()
        )
    return lines


FIVE = make_lines(("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2), ("promote", 4))


def test_a_line_is_hashed_as_anyone_can_do_it_again() -> None:
    said = (
        '{"action": "promote", "at": "2026-03-02T00:00:00.000000+00:00", "detail": null, "from_version": null, '
        '"model_name": "closecast", "moved_at": null, "previous_hash": "' + "0" * 64 + '", "request": "1", '
        '"sequence": 1, "to_version": 1, "who": "ada", "why": "für Δ"}'
    )
    assert FIVE[0].hash == hashlib.sha256(said.encode()).hexdigest()


def test_a_whole_ledger_has_no_faults() -> None:
    assert find_faults(FIVE) == []
    assert find_faults([]) == []


CHANGES = {
    "at": BEGIN,
    "model_name": "other",
    "from_version": 7,
    "to_version": 7,
    "action": "keep",
    "who": "eve",
    "why": "",
    "moved_at": BEGIN,
    "detail": "{}",
    "request": "x",
    "previous_hash": "f" * 64,
    "hash": "f" * 64,
    "graph_sha256": "f" * 64,
}


@given(st.sampled_from(sorted(CHANGES)), st.integers(0, 4))
def test_any_changed_cell_is_found(column: str, row: int) -> None:
    lines = list(FIVE)
    lines[row] = replace(lines[row], **{column: CHANGES[column]})
    assert f"line {row + 1} was changed after it was written" in find_faults(lines)


@given(st.integers(0, 3))
def test_a_changed_line_that_is_sealed_anew_breaks_the_next(row: int) -> None:
    lines = list(FIVE)
    lines[row] = replace(lines[row], who="eve").sealed()
    assert f"line {row + 2} does not follow the line before it" in find_faults(lines)


@given(st.integers(0, 3))
def test_a_missing_line_is_found(row: int) -> None:
    assert find_faults(FIVE[:row] + FIVE[row + 1 :]) == [
        f"line {row + 1} must come where line {row + 2} does: missing, doubled or reordered"
    ]


@given(st.permutations(range(5)).filter(lambda order: list(order) != [0, 1, 2, 3, 4]))
def test_lines_that_changed_places_are_found(order: list[int]) -> None:
    swapped = [replace(FIVE[place], sequence=number) for number, place in enumerate(order, start=1)]
    assert find_faults(swapped)
    assert find_faults([FIVE[place] for place in order])


def test_lines_cut_off_at_the_end_are_missed_by_the_anchor() -> None:
    anchor = f"5 {FIVE[-1].hash}"
    assert find_anchor_faults(FIVE, anchor) == []
    assert find_anchor_faults(FIVE, f"4 {FIVE[3].hash}") == []  # the line behind it is the newer
    assert find_anchor_faults(FIVE[:-1], anchor) == ["line 5, which the registry knows, is missing"]
    assert find_anchor_faults(FIVE, f"5 {GENESIS}") == ["line 5 is another than the registry knows"]
    assert find_anchor_faults(FIVE, None) != []
    assert find_anchor_faults([], None) == []
    assert name_anchor(FIVE) == f"closecast.ledger.{FIVE[0].hash[:12]}"


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        (BEGIN, None),
        (BEGIN + timedelta(days=1), 1),
        (BEGIN + timedelta(days=3, hours=23), 3),
        (BEGIN + timedelta(days=4), 2),
        (None, 4),
    ],
)
def test_who_served_when(moment: datetime | None, version: int | None) -> None:
    line = serving_line(FIVE, moment)
    assert (line.to_version if line else None) == version


@pytest.mark.parametrize(
    ("moves", "served"),
    [
        ([("adopt", 1), ("promote", 2), ("stage", 3)], [1, 2, 3]),
        ([("promote", 1), ("promote", 2), ("rollback", 1)], [1]),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)], [1, 2]),
        ([("promote", 1), ("promote", 2), ("promote", 1), ("promote", 3), ("rollback", 1)], [1, 2, 1]),
        ([("promote", 1), ("promote", 2), ("keep", 2)], [1, 2]),
        ([("promote", 2), ("fallback", 1)], [2, 1]),
    ],
)
def test_a_rollback_takes_back_what_came_after(moves: list[tuple[str, int]], served: list[int]) -> None:
    assert list_served(make_lines(*moves)) == served


def test_a_disk_without_room_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DeltaError("Generic LocalFileSystem error: No space left on device (os error 28)")

    monkeypatch.setattr("include.registry.ledger.append_rows", refuse)
    said = {"from_version": None, "to_version": 1, "action": "promote", "who": "ada", "why": "first"}
    with pytest.raises(UnavailableError, match="there must be room for the promotion ledger"):
        append_line(settings, [], said | {"moved_at": None, "detail": None, "request": "a"})


def test_lines_are_appended_and_a_clock_set_back_puts_none_before_another(settings: Settings) -> None:
    said = {"from_version": None, "to_version": 1, "action": "promote", "who": "ada", "why": "first"}
    rest = {"moved_at": BEGIN, "detail": None, "request": "a"}
    first = append_line(settings, [], said | rest | {"graph_sha256": "a" * 64})
    ahead = replace(first, at=datetime.now(UTC) + timedelta(days=2)).sealed()
    second = append_line(settings, [ahead], said | rest | {"request": "b"})
    assert second.at == ahead.at
    assert [line.sequence for line in read_ledger(settings)] == [1, 2]
    assert read_ledger(settings)[0] == first
    assert hash_line(read_ledger(settings)[1]) == second.hash
    assert open_table(settings.lake, PROMOTIONS).version() == 1
