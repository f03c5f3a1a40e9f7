"""What other people's names do to a terminal: nothing."""

from __future__ import annotations

import pytest

from include.console import Step, out, plain, show_controls, show_steps
from include.show import show_forecasts

HOSTILE = "[/x][bold]\x1b[2J\x9b31m\u202e\r\n\udcff"
SHOWN = r"[/x][bold]\x1b[2J\x9b31m\u202e\r\n\udcff"


def test_controls_are_shown_and_other_characters_stay() -> None:
    assert show_controls(HOSTILE) == SHOWN
    assert show_controls("Müller – 株式 🙂 [x]") == "Müller – 株式 🙂 [x]"


def test_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    for text in (HOSTILE, "back\\[/x]", "ends in \\"):
        out.print(f"[dim]{plain(text)}[/dim]", soft_wrap=True)
        assert capsys.readouterr().out == show_controls(text) + "\n"


def test_forecasts_of_any_symbol_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"symbol": HOSTILE, "status": "scored", "last_close": 1.0, "pred_open": 1.0, "pred_close": None}
    show_forecasts([row], f"Forecasts of {HOSTILE}")
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 2
    assert "\x1b" not in shown


def test_steps_show_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps() as step:
        line: Step = step(f"Ingest {HOSTILE}")
        line.update(1, 2, HOSTILE)
        line.say(HOSTILE)
        line.finish(HOSTILE)
    shown = capsys.readouterr().err
    assert "Ingest [/x][bold]" in shown
    assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(shown)
