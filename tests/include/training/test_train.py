"""A retrain by hand, whole: each step once, taken up where it stopped, and told in a table."""

from __future__ import annotations

import re

import pytest

from include.errors import ClosecastError, NotFoundError
from include.registry.ledger import read_ledger
from include.registry.versions import list_versions
from include.settings import Settings
from include.show import show_retrain
from include.training.fit import read_fit
from include.training.record import open_retrain
from include.training.train import Listeners, Retrained, train
from tests.include.conftest import LAST, Own


def retrain(settings: Settings, said: list[str]) -> Retrained:
    listeners = Listeners(on_snapshot=said.append, say=said.append)
    return train(settings, who="ada", names=["ridge"], last_session=LAST, listeners=listeners)


def test_an_unknown_model_is_named(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match=r"model must be one of last_close, .*Received: prophet"):
        train(settings, who="ada", names=["prophet"])


def test_a_model_that_fails_is_named_and_the_others_are_fitted(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no such window")

    monkeypatch.setattr("models.ridge.RidgeModel.fit", fail)
    said: list[str] = []
    with pytest.raises(
        ClosecastError, match=r"must be fitted without an error.*ValueError: no such window \(in ridge\)"
    ):
        train(
            own.settings,
            who="ada",
            names=["ridge", "seasonal_naive"],
            last_session=LAST,
            listeners=Listeners(say=said.append),
        )
    assert said[0].startswith("ridge failed: ")
    (retrain_id,) = (path.name for path in own.settings.training.glob("by-hand-*"))
    retrain = open_retrain(own.settings, retrain_id)
    assert [read_fit(retrain, name).is_naive for name in ("last_close", "seasonal_naive")] == [True, True]
    with pytest.raises(NotFoundError):
        read_fit(retrain, "ridge")
    assert [row.version for row in list_versions(own.settings)] == [3, 2, 1]
    assert read_ledger(own.settings) == []


def test_a_retrain_that_died_is_taken_up_and_one_that_ended_is_not(
    own: Own, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(said: str) -> None:
        if said.startswith("ridge is version"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(own.settings, who="ada", names=["ridge"], last_session=LAST, listeners=Listeners(say=die))
    said: list[str] = []
    found = retrain(own.settings, said)
    assert found.is_resumed
    # Rows that other tests have released count by now.
    assert re.match(r"resumed: 86 sessions, 7\d symbols, bars version", said[0])
    assert [row.version for row in list_versions(own.settings)] == [4, 3, 2, 1]
    assert [line.action for line in read_ledger(own.settings)] == ["adopt", "keep"]
    show_retrain(found)
    shown = capsys.readouterr().out
    assert re.search(r"judged on 1,4\d\d windows of 20 held-out sessions \(from 2024-03-07\)", shown)
    assert "ridge: not better than champion" in shown
    assert "\nServes: ridge, version 2\nno challenger passed the gate: ridge (version 2) serves on\n" in shown
    again = retrain(own.settings, said)
    assert not again.is_resumed
    assert again.judgement.versions == {"last_close": 3, "ridge": 5}
    assert [line.action for line in read_ledger(own.settings)] == ["adopt", "keep", "keep"]
