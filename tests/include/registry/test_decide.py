"""The rule of stage and alias, case by case."""

from __future__ import annotations

import pytest

from include.registry.api import Registered, RegistryState
from include.registry.decide import decide

CASES = [
    # in Production, champion, last -> action, version
    ("nothing was moved", {2}, 2, 2, "settled", 2),
    ("the alias was taken away", {2}, None, 2, "settled", 2),
    ("the stage was moved", {1}, 2, 2, "stage", 1),
    ("the stage was moved, the alias taken away", {1}, None, 2, "stage", 1),
    ("the alias was moved", {2}, 1, 2, "alias", 1),
    ("the alias was moved, the stage taken away", set(), 1, 2, "alias", 1),
    ("both were moved to one version", {1}, 1, 2, "both", 1),
    ("both were moved apart", {1}, 3, 2, "refused", 2),
    ("two are in Production", {1, 2}, 2, 2, "refused", 2),
    ("two are in Production, the alias moved to one", {1, 2}, 1, 2, "refused", 2),
    ("the stage was taken away", set(), 2, 2, "refused", 2),
    ("both were taken away", set(), None, 2, "refused", 2),
    ("what served was deleted", set(), None, 9, "gone", None),
    ("what served was deleted, another put there", {1}, None, 9, "stage", 1),
    ("no ledger, one in Production", {1}, None, None, "adopt", 1),
    ("no ledger, stage and alias apart", {1}, 2, None, "adopt", 1),
    ("no ledger, an alias only", set(), 2, None, "adopt", 2),
    ("no ledger, the alias chooses of two", {1, 3}, 1, None, "adopt", 1),
    ("no ledger, two and no alias", {1, 3}, None, None, "adopt", 3),
    ("no ledger and nothing", set(), None, None, "adopt", None),
]


@pytest.mark.parametrize(
    ("production", "champion", "last", "action", "version"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_stage_and_alias(
    production: set[int], champion: int | None, last: int | None, action: str, version: int | None
) -> None:
    versions = {
        number: Registered(number, "Production" if number in production else "Archived", {}, None)
        for number in (1, 2, 3)
    }
    decision = decide(RegistryState(versions, champion, {}), last)
    assert (decision.action, decision.version) == (action, version)
    assert bool(decision.why) == (action != "settled")
