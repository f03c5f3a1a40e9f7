"""Which move of the server's record explains the version that is named now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.lake.chain import GENESIS
from include.registry.ledger import Line
from include.registry.moves import ALIAS, RESERVED, STAGE, Move, name_movers, note_move, read_moves, select_moves

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA = Move(STAGE, 3, "ada", NOON)


def line(to_version: int, minutes: int, *, moved: int | None = None) -> Line:
    """A line written so many minutes after noon, of a move made `moved` minutes after it."""
    at = NOON + timedelta(minutes=minutes)
    moved_at = None if moved is None else NOON + timedelta(minutes=moved)
    return Line(1, at, "closecast", None, to_version, "stage", "x", "y", moved_at, None, "r", GENESIS)


def test_what_is_noted_is_read() -> None:
    before = datetime.now(UTC)
    tags = dict([note_move(STAGE, 3, "ada"), note_move(ALIAS, 2, "bob, é")])
    assert set(tags) == {f"{RESERVED}stage", f"{RESERVED}alias"}
    stage, alias = read_moves(tags)
    assert (stage.kind, stage.version, stage.who) == (STAGE, 3, "ada")
    assert (alias.kind, alias.version, alias.who) == (ALIAS, 2, "bob, é")
    assert before <= stage.at <= alias.at <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "stage", "version": "x", "who": "a", "at": "b"}'])
def test_what_cannot_be_read_is_nobodys(text: str) -> None:
    assert read_moves({f"{RESERVED}stage": text}) == []


@pytest.mark.parametrize(
    ("lines", "is_told"),
    [
        ([], False),
        ([line(3, -1)], False),  # it served before, and was moved to again
        ([line(2, 1)], False),  # another version's line
        ([line(3, 1)], True),
        ([line(3, -1, moved=0)], True),  # the server's clock is ahead of the one that wrote the line
    ],
    ids=["no line", "an earlier line", "another version", "a later line", "clocks apart"],
)
def test_a_move_is_told_once(lines: list[Line], is_told: bool) -> None:
    assert select_moves([ADA], lines, kinds=(STAGE,), version=3) == ([] if is_told else [ADA])


def test_only_a_move_of_that_kind_to_that_version_explains_it() -> None:
    assert select_moves([ADA], [], kinds=(ALIAS,), version=3) == []
    assert select_moves([ADA], [], kinds=(STAGE, ALIAS), version=2) == []


def test_each_person_is_named_once() -> None:
    moves = [ADA, Move(ALIAS, 3, "bob", NOON), Move(ALIAS, 3, "ada", NOON)]
    assert name_movers(moves) == "ada, bob"
    assert name_movers([]) == ""
