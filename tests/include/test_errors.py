"""What an error says, which exit code it has, and that it survives the way from a child process."""

from __future__ import annotations

import pickle

import pytest

from include.errors import BlockedError, ClosecastError, InputError, NotFoundError, UnavailableError

KINDS = {ClosecastError: 1, InputError: 3, NotFoundError: 4, BlockedError: 5, UnavailableError: 6}


@pytest.mark.parametrize(
    ("said", "value", "place"),
    [
        ("a rule must hold", None, None),
        ("a rule must hold. Received: 0", 0, None),
        ("a rule must hold (in day.csv, row 3)", None, "day.csv, row 3"),
        ("a rule must hold. Received: x (in day.csv)", "x", "day.csv"),
    ],
)
def test_message_names_rule_value_and_place(said: str, value: object, place: str | None) -> None:
    assert str(ClosecastError("a rule must hold", value=value, place=place)) == said


@pytest.mark.parametrize(("kind", "code"), KINDS.items())
def test_exit_codes_are_those_documented(kind: type[ClosecastError], code: int) -> None:
    assert kind.exit_code == code
    assert kind("rule").exit_code == code


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_whole_through_pickle(kind: type[ClosecastError]) -> None:
    error = kind("a rule must hold", value=3, place="here")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.rule, again.value, again.place, str(again)) == (error.rule, 3, "here", str(error))
