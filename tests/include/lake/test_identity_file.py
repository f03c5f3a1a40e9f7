"""The file of symbol changes: what it may say, and each fault by file and line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from include.errors import InputError
from include.lake.identity import NO_CHANGES, SymbolChange
from include.lake.identity_file import load_symbol_changes, read_symbol_changes
from include.settings import Settings

HEADER = "symbol,successor,session,factor,volume_in,note\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "symbol_changes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_lines_come_oldest_first_with_what_may_be_left_out(tmp_path: Path) -> None:
    text = HEADER + 'B, C ,2018-06-05,1000,quote,"one, two"\n\nA,B,2018-06-01,,,\n'
    found = read_symbol_changes(write(tmp_path, "\ufeff" + text))
    assert found.lines == (
        SymbolChange("A", "B", date(2018, 6, 1)),
        SymbolChange("B", "C", date(2018, 6, 5), 1000.0, "quote", "one, two"),
    )
    assert read_symbol_changes(write(tmp_path, "session,symbol,successor\n2018-06-01,A,B\n")).lines == found.lines[:1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column symbol must be there. Received: nothing .*, line 1"),
        ("symbol,successor\n", "column session must be there"),
        ("symbol,successor,session,price\n", "columns must be .* Received: price .* line 1"),
        ("symbol,successor,session,symbol\n", "named once"),
        (HEADER + "A,B,2018-06-01,1,units\n", "a line must have 6 fields. Received: 5 .* line 2"),
        (HEADER + ",B,2018-06-01,,,\n", "symbol must not be empty .* line 2"),
        (HEADER + "A,,2018-06-01,,,\n", "successor must not be empty"),
        (HEADER + "A,B,20180601,,,\n", "YYYY-MM-DD. Received: 20180601 .* line 2"),
        (HEADER + "A,B,2018-06-31,,,\n", "YYYY-MM-DD. Received: 2018-06-31"),
        (HEADER + "A,B,2018-06-01,0,,\n", "factor must be .* Received: 0 .* line 2"),
        (HEADER + "A,B,2018-06-01,-1,,\n", "greater than zero. Received: -1"),
        (HEADER + "A,B,2018-06-01,nan,,\n", "greater than zero. Received: nan"),
        (HEADER + "A,B,2018-06-01,inf,,\n", "greater than zero. Received: inf"),
        (HEADER + "A,B,2018-06-01,x,,\n", "greater than zero. Received: x"),
        (HEADER + "A,B,2018-06-01,1,coins,\n", "volume_in must be units or quote. Received: coins"),
        (HEADER + "A,A,2018-06-01,,,\n", "keeps its name must have a factor other than 1"),
        (HEADER + "A,B,2018-06-01,,,\nA,C,2018-06-01,,,\n", "one successor .* Received: A, also on line 2 .* line 3"),
        (HEADER + "A,C,2018-06-01,,,\nB,C,2018-06-01,,,\n", "one predecessor .* Received: C, also on line 2"),
        (
            HEADER + "A,B,2018-06-01,,,\nB,A,2018-06-01,,,\n",
            "a cycle, or a chain .* Received: B, on line 3 .* line 2",
        ),
        (HEADER + "A,B,2018-06-01,,,\nB,C,2018-06-01,,,\n", "same session .* Received: B, on line 3 .* line 2"),
        (HEADER.encode() + b"A,\xff,2018-06-01,,,\n", "must be UTF-8"),
        (HEADER + 'A,"B,2018-06-01,,,\n', "must be a CSV"),
        (HEADER + 'A,"B"x,2018-06-01,,,\n', "must be a CSV"),
    ],
)
def test_each_fault_is_named_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=said) as caught:
        read_symbol_changes(path)
    assert str(path) in str(caught.value)


def test_a_home_may_do_without_but_a_named_file_must_be_there(settings: Settings, tmp_path: Path) -> None:
    assert load_symbol_changes(settings) is NO_CHANGES
    named = settings.model_copy(update={"symbol_changes": tmp_path / "nosuch.csv"})
    with pytest.raises(InputError, match=r"must be readable.*nosuch\.csv"):
        load_symbol_changes(named)


def test_the_content_is_part_of_the_settings_fingerprint(settings: Settings) -> None:
    before = settings.fingerprint()
    settings.home.mkdir()
    write(settings.home, HEADER + "A,B,2018-06-01,,,\n")
    assert load_symbol_changes(settings).lines == (SymbolChange("A", "B", date(2018, 6, 1)),)
    after = settings.fingerprint()
    write(settings.home, HEADER + "A,B,2018-06-01,2,,\n")
    assert len({before, after, settings.fingerprint()}) == 3
