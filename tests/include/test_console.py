"""What other people's names do to a terminal: nothing; and what a narrow one does to a table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from include import console
from include.console import Step, build_facts, build_table, out, plain, show_controls, show_steps
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
    assert shown.splitlines()[0] == f"Forecasts of {SHOWN}"  # whole, however narrow the table is
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


WHY = "no challenger passed the gate: dense_window (version 6) serves on, " * 3
SHA = "6677e0529b1998c42d0bc39abe6c59f6f6b1c8ff954d9a2b4476e554068a2dda"


def draw(table: RenderableType, *, width: int) -> list[str]:
    """The lines of a table in a terminal of so many columns."""
    terminal = Console(width=width, file=io.StringIO())
    with terminal.capture() as shown:
        terminal.print(table)
    return [line.rstrip() for line in shown.get().splitlines()]


def test_a_narrow_terminal_folds_words_and_keeps_numbers() -> None:
    table = build_table("Promotions", ["at", "to", "why"], [["2026-11-21 10:40:39", "14", WHY]], folded=("why",))
    lines = draw(table, width=50)
    assert lines[2].startswith("2026-11-21 10:40:39  14  no challenger")
    assert " ".join(" ".join(line[25:] for line in lines[2:]).split()) == WHY.strip()
    assert max(map(len, lines)) <= 50


def test_numbers_stay_whole_where_headers_are_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "out", Console(width=24, file=io.StringIO()))
    rows = [["newest 30", "0.01662", "100.0%"]]
    lines = draw(build_table("", ["sessions", "last close's", "in 80%"], rows), width=24)
    assert lines == ["             last", "sessions  close's in 80%", "newest 30 0.01662 100.0%"]


def test_facts_are_whole_in_a_narrow_terminal() -> None:
    lines = draw(build_facts("Version 6", {"content_sha256": SHA, "close_directional_accuracy": "0.58"}), width=50)
    assert "".join(line[28:] for line in lines[1:-1]) == SHA
    assert lines[-1] == "close_directional_accuracy  0.58"


def test_a_long_word_leaves_a_step_its_title_and_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "err", terminal)
    with terminal.capture() as shown, show_steps() as step:
        step("Register and judge").finish(WHY)
    last = next(line for line in reversed(shown.get().splitlines()) if "Register" in line)
    assert f"Register and judge{' ' * 9}{'━' * 12} 0:00:00 no challenger passed" in last
    assert "…" in last


def test_a_log_says_how_far_a_step_is_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 5.0, 11.0, 11.0, 20.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(seconds))
    with show_steps() as step:
        line = step("Train ridge")
        line.update(1, 3, "loss 0.93")
        line.update(2, 3, "loss 0.92")
        line.update(3, 3, "loss 0.91")
        line.finish("0.9195 of last close's error")
    assert capsys.readouterr().err.splitlines() == [
        f"0:00:11 Train ridge{' ' * 15} … 2 of 3 loss 0.92",
        f"0:00:20 Train ridge{' ' * 15} ✓ 0.9195 of last close's error",
    ]


def test_where_there_is_no_terminal_a_step_says_all(capsys: pytest.CaptureFixture[str]) -> None:
    with show_steps() as step:
        step("Register and judge").finish(WHY)
    assert WHY.strip() in capsys.readouterr().err
