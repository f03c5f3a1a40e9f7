"""The command line as a person or a script meets it: exit codes, one line for an error, one JSON object with --json."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include import cli
from include.settings import PROJECT_ROOT, Settings, load_settings

HEADER = "symbol,date,open,high,low,close\n"
GOOD = HEADER + "A,2018-06-01,1,2,0.5,1.5\nA,2018-06-01,1,2,0.5,1.5\nB,2018-06-01,-1,2,0.5,1.5\n"
NOBODY = 65534

BAD_FILES = {
    "empty.csv": ("", "an upload must not be empty", "0 bytes", "empty.csv"),
    "nosymbol.csv": (HEADER.replace("symbol", "isin"), "must have a column for symbol", "isin", "nosymbol.csv"),
    "norows.csv": (HEADER, "must have at least one row", "a header and no rows", "norows.csv"),
    "dates.csv": (HEADER + "A,31/31/2018,1,2,1,1\n", "a date must be a day", "'31/31/2018'", "dates.csv, row 1"),
}


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, standard output, lines on standard error."""

    code: int
    out: str
    err: list[str]

    @property
    def payload(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Run = Callable[..., Answer]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `closecast` in this process on this test's own home."""
    monkeypatch.setenv("CLOSECAST_HOME", str(settings.home))

    def run_command(*words: object) -> Answer:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["closecast", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capfd.readouterr()
        return Answer(caught.value.code, said.out, said.err.splitlines())

    yield run_command
    load_settings.cache_clear()


def written(settings: Settings) -> list[Path]:
    return list(settings.home.rglob("*")) if settings.home.exists() else []


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line_that_names_rule_value_and_place_and_nothing_is_written(
    run: Run, settings: Settings, tmp_path: Path, name: str
) -> None:
    content, rule, value, place = BAD_FILES[name]
    (tmp_path / name).write_text(content)
    answer = run("ingest", tmp_path / name)
    assert answer.code == 3
    assert answer.out == ""
    (line,) = answer.err
    assert line.startswith("error: ")
    assert all(part in line for part in (rule, f"Received: {value}", f"(in {place}"))
    assert written(settings) == []


def test_a_bad_file_as_json(run: Run, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    answer = run("ingest", tmp_path / "empty.csv", "--json")
    assert answer.code == 3
    assert answer.payload == {
        "error": {
            "type": "InputError",
            "rule": "an upload must not be empty",
            "value": "0 bytes",
            "place": "empty.csv",
        }
    }
    assert written(settings) == []


def test_a_name_in_square_brackets_is_shown_as_it_is(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "[bold]x[" / "y]"
    folder.mkdir(parents=True)
    answer = run("ingest", folder)
    assert str(folder) in answer.err[0]


def test_one_bad_file_of_a_folder_holds_up_no_other(run: Run, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "a.csv").write_text("no,header\n")
    (folder / "b.csv").write_text(GOOD)
    answer = run("ingest", folder, "--json")
    assert answer.code == 3
    assert [report["name"] for report in answer.payload["uploads"]] == ["b.csv"]
    assert [error["type"] for error in answer.payload["errors"]] == ["InputError"]
    assert "a.csv" in answer.err[-1]


@pytest.mark.parametrize("below", ["missing.csv", "file.csv/below.csv"])
def test_what_cannot_be_read_is_one_line(run: Run, settings: Settings, tmp_path: Path, below: str) -> None:
    (tmp_path / "file.csv").write_text(GOOD)
    answer = run("ingest", tmp_path / below)
    assert answer.code == 3
    assert len(answer.err) == 1
    assert str(tmp_path / below) in answer.err[0]
    assert written(settings) == []


@pytest.mark.parametrize("below", ["", "/home"])
def test_a_home_that_cannot_be_a_folder_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    (tmp_path / "file.csv").write_text(GOOD)
    monkeypatch.setenv("CLOSECAST_HOME", f"{tmp_path}/file.csv{below}")
    answer = run("ingest", tmp_path / "file.csv")
    assert answer.code == 3
    assert len(answer.err) == 1
    assert f"{tmp_path}/file.csv" in answer.err[0]
    assert (tmp_path / "file.csv").read_text() == GOOD


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Give a function after which this process has the rights of no one special; root reads every folder."""
    me = os.geteuid()
    yield lambda: os.seteuid(NOBODY) if me == 0 else None
    os.seteuid(me)


def test_a_folder_without_rights_is_one_line(
    run: Run, settings: Settings, tmp_path: Path, as_nobody: Callable[[], None]
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "day.csv").write_text(GOOD)
    (tmp_path / "open.csv").write_text("")
    run("ingest", tmp_path / "open.csv")  # what a command imports is read with the rights of before
    locked.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o055)
    as_nobody()
    answers = [run("ingest", path) for path in (locked, locked / "day.csv")]
    assert [answer.code for answer in answers] == [3, 3]
    assert all(len(answer.err) == 1 and "Permission denied" in answer.err[0] for answer in answers)
    assert all(str(locked) in answer.err[0] for answer in answers)
    assert written(settings) == []


def test_ingest_says_what_became_of_every_row(run: Run, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(GOOD)
    assert "3 rows = 1 accepted + 1 quarantined + 1 exact duplicates" in run("ingest", tmp_path / "day.csv").out
    (report,) = run("ingest", tmp_path / "day.csv", "--json").payload["uploads"]
    assert (report["rows"], report["accepted"], report["quarantined"], report["duplicates"]) == (3, 1, 1, 1)
    assert (report["first_session"], report["already_ingested"]) == ("2018-06-01", True)


def test_the_installed_command_gives_the_same_codes_and_streams(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "day.csv").write_text(GOOD)
    command = [str(Path(sys.executable).with_name("closecast")), "ingest", "--json"]
    environment = os.environ | {"CLOSECAST_HOME": str(settings.home)}
    answers = [
        subprocess.run(
            [*command, str(tmp_path / name)],
            env=environment,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for name in ("empty.csv", "day.csv")
    ]
    assert [answer.returncode for answer in answers] == [3, 0]
    assert "error" in json.loads(answers[0].stdout)
    assert json.loads(answers[1].stdout)["uploads"][0]["rows"] == 3
    assert answers[0].stderr == "error: an upload must not be empty. Received: 0 bytes (in empty.csv)\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CLOSECAST_CLOSE_DELAY_S", "soon"), ("CLOSECAST_THREADS", "0"), ("CLOSECAST_DATE_ORDER", "Y/M/D")],
)
def test_a_bad_setting_is_one_line_that_names_its_variable(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    answer = run("status")
    assert answer.code == 3
    (line,) = answer.err
    assert f"Received: {value} (in {variable})" in line
    assert run("status", "--json").payload["error"]["place"] == variable
    assert written(settings) == []


def test_a_calendar_that_is_none_is_one_line(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSECAST_CALENDAR", "MARS")
    (tmp_path / "day.csv").write_text(GOOD)
    answer = run("ingest", tmp_path / "day.csv")
    assert answer.code == 3
    assert "Received: MARS (in CLOSECAST_CALENDAR)" in answer.err[0]
    assert written(settings) == []


def test_a_home_without_bars_has_no_newest_session(run: Run) -> None:
    answer = run("predict")
    assert answer.code == 4
    assert answer.err[0].startswith("error: table bars must have been written before it is read")


def test_a_session_that_is_no_date_is_bad_input(run: Run) -> None:
    answer = run("score", "--session", "yesterday")
    assert answer.code == 3
    assert answer.err == ["error: session must be a date as YYYY-MM-DD. Received: yesterday"]


def test_a_model_that_is_not_registered_and_one_without_production_are_not_found(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.registry.client import connect

    monkeypatch.setenv("CLOSECAST_MODEL_NAME", "nobodys")
    answer = run("predict", "--session", "2018-06-01", "--json")
    assert answer.code == 4
    assert answer.payload["error"]["type"] == "NotFoundError"
    assert "nobodys" in answer.payload["error"]["rule"]
    connect(settings).create_registered_model("nobodys")
    answer = run("predict", "--session", "2018-06-01")
    assert answer.code == 4
    assert "a version of nobodys must be in Production" in answer.err[-1]
    assert run("predict", "--session", "2018-06-01", "--version", "9").code == 4
    assert not settings.lake.exists()


def test_a_command_line_that_cannot_be_read_has_typers_own_code(run: Run) -> None:
    assert run("ingest").code == 2
    assert run("nonsense").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ingest"], "Missing argument 'path'"),
        (["nonsense"], "No such command 'nonsense'"),
        (["uploads", "list", "--last", "-1"], "'--last'"),
        (["quarantine", "show", "--row", 10**20], "'--row'"),
    ],
)
def test_a_command_line_that_cannot_be_read_as_json(run: Run, words: list[object], said: str) -> None:
    answer = run(*words, "--json")
    assert answer.code == 2
    assert answer.payload["error"]["type"] == "UsageError"
    assert said in answer.payload["error"]["rule"]


def test_hostile_names_reach_the_terminal_as_text(run: Run, tmp_path: Path) -> None:
    name = "[x][bold]\x1b[2J\x9b[bold].csv"
    (tmp_path / name).write_text(HEADER + "[/y]\u202e,2018-06-01,-1,2,0.5,1.5\n")
    answers = [run("ingest", tmp_path / name), run("uploads", "list"), run("quarantine", "show")]
    (sha,) = [each["sha256"] for each in run("uploads", "list", "--json").payload["uploads"]]
    answers += [run("uploads", "show", sha), run("quarantine", "list")]
    assert [answer.code for answer in answers] == [0] * 5
    assert all(r"[x][bold]\x1b[2J\x9b[bold].csv" in answers[number].out for number in (0, 1, 3))
    assert all(r"[/y]\u202e" in answers[number].out for number in (2, 4))
    said = "".join(answer.out + "".join(answer.err) for answer in answers)
    assert not {"\x1b", "\x9b", "\u202e"} & set(said)


def test_half_of_a_surrogate_pair_as_a_reason_is_refused(run: Run, settings: Settings) -> None:
    for words in (["release", "--symbol", "A"], ["repair", "day.csv", "--upload", "123456"]):
        answer = run("quarantine", *words, "--why", "because \udcff")
        assert answer.code == 3
        assert "why must be text that UTF-8 can write" in answer.err[-1]
    assert written(settings) == []


def test_help_names_every_command(run: Run) -> None:
    answer = run("--help")
    assert answer.code == 0
    commands = ["up", "down", "status", "demo", "simulate", "ingest", "train", "score", "predict", "models"]
    assert all(f"  {name} " in answer.out for name in commands)
    answer = run("models", "--help")
    assert all(f"  {name} " in answer.out for name in ("list", "show", "promote", "rollback"))
