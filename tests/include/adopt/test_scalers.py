"""Which rule a file of scalers breaks, and where; and the names that bars have for its symbols."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include.adopt.crypto_open import COLUMNS
from include.adopt.scalers import add_names, read_scalers
from include.errors import InputError
from tests.include.adopt.files import make_scalers, write_scalers


def test_means_and_scales_are_those_that_were_fitted(tmp_path: Path) -> None:
    written = make_scalers()
    found = read_scalers(write_scalers(tmp_path / "s.pkl", written), COLUMNS)
    assert found.symbols == ("AAA", "BBB")
    assert found.vocabulary == {"AAA": 1, "BBB": 2}
    assert found.means[1].tolist() == [written["BBB"][column].mean_[0] for column in COLUMNS]
    assert found.scales[0].tolist() == [written["AAA"][column].scale_[0] for column in COLUMNS]


def spoil(change: Callable[[Any], object]) -> Any:
    values = make_scalers()
    change(values)
    return values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values.update(model_hypers=1.5), "must be a dict of symbols and model_hypers"),
        (lambda values: values.pop("model_hypers"), "must be a dict of symbols and model_hypers"),
        (lambda values: [values.pop("AAA"), values.pop("BBB")], "at least one symbol"),
        (lambda values: values["BBB"].pop("v_low"), r"scalers for .*open.*\(in s.pkl, BBB\)"),
        (lambda values: values.update(AAA=1.5), r"scalers for .* Received: float \(in s.pkl, AAA\)"),
        (lambda values: values["AAA"].update(low=2.5), r"must have a StandardScaler\. Received: float .*AAA, low"),
        (lambda values: setattr(values["AAA"]["low"], "with_std", False), "with_mean and with_std"),
        (lambda values: setattr(values["AAA"]["low"], "scale_", np.array([0.0])), r"not be zero.*AAA, low"),
        (lambda values: setattr(values["AAA"]["low"], "scale_", None), "one finite number for a column"),
        (lambda values: setattr(values["AAA"]["low"], "mean_", np.array([np.nan])), "one finite number for a column"),
        (lambda values: setattr(values["AAA"]["low"], "mean_", np.array([1.0, 2.0])), "one finite number"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(tmp_path: Path, change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_scalers(write_scalers(tmp_path / "s.pkl", spoil(change)), COLUMNS)


def name(folder: Path, text: str) -> dict[str, int]:
    (folder / "names.csv").write_text(text)
    return add_names(read_scalers(write_scalers(folder / "s.pkl"), COLUMNS), folder / "names.csv").vocabulary


def test_a_symbol_may_have_the_names_of_the_bars(tmp_path: Path) -> None:
    found = name(tmp_path, "symbol,name\nAAA,alpha\nAAA,alfa\nBBB,BBB\n")
    assert found == {"AAA": 1, "BBB": 2, "alpha": 1, "alfa": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ticker,slug\nAAA,alpha\n", "a CSV with the columns symbol and name"),
        ("symbol,name\nCCC,gamma\n", "a symbol with scalers. Received: CCC"),
        ("symbol,name\nAAA,x\nBBB,x\n", "a name must mean one symbol. Received: x"),
        ("symbol,name\nAAA,BBB\n", "a name must mean one symbol. Received: BBB"),
    ],
)
def test_names_that_mean_nothing_or_two_things_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        name(tmp_path, text)
