"""A file of expectations: what comes with the project holds, and a fault names file, entry and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import InputError
from include.quality.kinds import RESERVED
from include.quality.suites import DEFAULT_FILE, load_suites, read_suites
from include.settings import Settings

TEXT = DEFAULT_FILE.read_text()


def change(folder: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path = folder / "mine.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: text", "kind: texts", ["suite rows, entry symbol_is_short", "Received: texts"]),
        ("severity: warn", "severity: loud", ["suite session, entry not_too_many_rows, severity", "Received: loud"]),
        ("severity: row\n", "severity: warn\n", ["suite rows, entry session_on_calendar, severity", "Received: warn"]),
        ("most_missing: 0.05", "most_missing: few", ["entry few_symbols_missing, most_missing", "Received: few"]),
        ("most_share: 0.5", "most_share: 1.5", ["entry not_yesterday_again, most_share", "Received: 1.5"]),
        ("fewest: 0.7", "fewst: 0.7", ["entry enough_rows, fewst: no such parameter", "Received: 0.7"]),
        ("columns: [volume]", "columns: [vol]", ["entry volume_not_negative, columns.0", "Received: vol"]),
        ("      fewest: 0.7\n", "", ["entry enough_rows: a row_count must have either fewest or most"]),
        ("      closes: 10\n", "", ["entry closes_change, closes: a parameter that this kind must have"]),
        ("      kind: closed\n", "", ["entry session_has_closed: an entry must name its kind"]),
        ("kind: closed\n", "kind: closed\n      kind: closed\n", ["key kind comes twice"]),
        ("kind: closed", "kind: session_has_closed", ["entry session_has_closed", "Received: session_has_closed"]),
        ("name: enough_rows", "name: Enough rows", ["entry Enough rows, name", "Received: Enough rows"]),
        ("name: prices_positive", "name: low_is_lowest", ["must come once in the suite rows: low_is_lowest"]),
        ("suites:", "suit:", ["must have the one key `suites`", "Received: suit"]),
        ("  snapshot:", "  snap:", ["suites must be rows, session, snapshot", "Received: rows, session, snap"]),
        ("suites:", "suites: [", ["expectations must be YAML"]),
        ("closes: 10", "closes: 2018-13-45", ["expectations must be YAML", "Received: month must be in 1..12"]),
        ("suites:", f"deep: {'[' * 5000}\nsuites:", ["must be nested as deep as suites are", "Received: far deeper"]),
        ("      min: 0\n", "      min: .nan\n", ["suite rows, entry prices_positive, min", "Received: nan"]),
        ("      min: 0\n", "      min: -.inf\n", ["suite rows, entry prices_positive, min", "Received: -inf"]),
        ("most: 1.5", "most: .inf", ["suite session, entry not_too_many_rows, most", "Received: inf"]),
        ("      min: 0\n", "      min: 2\n      max: 1\n", ["entry prices_positive", "Received: 2 and 1"]),
        ("      min: 0\n", "      min: 0\n      max: 0\n", ["entry prices_positive", "Received: 0 and 0"]),
        ("name: prices_positive", "name: level_confirmed", ["entry level_confirmed, name: a name must not be one of"]),
        ("name: prices_positive", "name: price_not_null", ["entry price_not_null, name: a name must not be one of"]),
    ],
)
def test_a_fault_names_file_entry_and_value(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    path = change(tmp_path, old, new)
    with pytest.raises(InputError) as caught:
        read_suites(path)
    message = str(caught.value)
    assert [part for part in [*said, f"(in {path})"] if part not in message] == [], message


def test_the_ingests_own_rules_are_reserved() -> None:
    from include.ingest.judge import CONFLICT, LEVEL
    from include.uploads import refusals, rows

    own = {rows.SYMBOL_NOT_NULL, rows.SYMBOL_IS_TEXT, rows.NUMBER_IS_READABLE, rows.PRICE_NOT_NULL}
    assert set(RESERVED) == own | {refusals.ROW_HAS_ALL_FIELDS, CONFLICT, LEVEL}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a file that can be read"):
        load_suites(Settings(home=tmp_path, expectations=tmp_path / "none.yaml", _env_file=None))


def test_a_setting_names_another_file(tmp_path: Path) -> None:
    path = change(tmp_path, "most: 1.5", "most: 3")
    entries = {entry.name: entry for entry in load_suites(Settings(expectations=path, _env_file=None)).session}
    assert entries["not_too_many_rows"].most == 3
    assert load_suites(Settings(_env_file=None)) == read_suites(DEFAULT_FILE)


def test_an_exponent_without_a_dot_is_a_number(tmp_path: Path) -> None:
    path = change(tmp_path, "absolute_tolerance: 1.0e-8", "absolute_tolerance: 1e-8")
    assert read_suites(path) == read_suites(DEFAULT_FILE)


def test_the_hash_changes_with_what_judges_and_not_with_layout(tmp_path: Path) -> None:
    default = read_suites(DEFAULT_FILE).suite_hash
    assert len(default) == 16
    assert read_suites(change(tmp_path, "most: 1.5", "most: 1.50  # half as many again")).suite_hash == default
    assert read_suites(change(tmp_path, "most: 1.5", "most: 1.6")).suite_hash != default


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    first = read_suites(change(tmp_path, "most: 1.5", "most: 1.6"))
    assert read_suites(change(tmp_path, "most: 1.5", "most: 1.7")) != first
