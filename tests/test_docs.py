"""What the documents name exists, and the tables in them are what the code says.

Two tables are generated: a test that fails prints what must stand between the marks.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from include import errors
from include.cli import app
from include.ingest.judge import CONFLICT, LEVEL
from include.lake.tables import Table
from include.quality import kinds
from include.quality.suites import DEFAULT_FILE, Suites, read_suites
from include.schema import Status
from include.settings import PROJECT_ROOT, Settings
from include.uploads import rows
from include.uploads.columns import ACCEPTED_NAMES

README = PROJECT_ROOT / "README.md"
DOCS = PROJECT_ROOT / "docs"
DOCUMENTS = [README, PROJECT_ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
OTHER_VARIABLES = {"CLOSECAST_SHARED_DATA"}  # the tests' own

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))


def list_code(text: str) -> list[str]:
    """Give the lines of all code: fenced, indented by four or more, or between backticks."""
    fenced = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    rest = fenced.sub("", text)
    indented = re.findall(r"^ {4,}(.+)$", rest, re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    return [line for block in fenced.findall(text) for line in block.splitlines()] + indented + spans


def list_calls(document: Path, program: str) -> list[list[str]]:
    """Give the words after a program's name wherever a document's code calls it."""
    calls = [
        found
        for code in list_code(document.read_text())
        for found in re.findall(rf"(?:^|[(/]|&& ){program} ([^|)#]+)", code)
    ]
    return [shlex.split(call.partition(" && ")[0]) for call in calls]


def list_cells(text: str, heading: str, column: int = 0) -> list[str]:
    """Give one column of the first table below a heading, backticks taken off."""
    section = re.split(r"^#", f"\n{text}".partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    block = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert block, f"no table below {heading}"
    _header, _rule, *rows = block[0].splitlines()
    return [re.split(r" ?\| ?", row)[column + 1].strip("`") for row in rows]


def between(text: str, name: str) -> str:
    """Give what stands between the two marks of a generated table."""
    return text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"<!-- {name}:end -->")[0]


def draw_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)\s]+)\)", document.read_text())
    for link in links:
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in list_anchors(target), link


def list_anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_document
def test_every_command_and_option_exists(document: Path) -> None:
    for words in list_calls(document, "closecast"):
        command: Any = typer.main.get_command(app)
        given = [word for word in words if not word.startswith("-")]
        while hasattr(command, "commands") and given:
            assert given[0] in command.commands, " ".join(words)
            command = command.commands[given.pop(0)]
        if command.context_settings.get("ignore_unknown_options"):  # what another program is passed
            continue
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert options <= known, " ".join(words)


def test_the_readme_names_every_command() -> None:
    command: Any = typer.main.get_command(app)
    groups = {name: getattr(each, "commands", {}) for name, each in command.commands.items()}
    wanted = {(name, *below) for name, under in groups.items() for below in ([(each,) for each in under] or [()])}
    assert wanted == {tuple(words[: 1 + bool(groups[words[0]])]) for words in list_calls(README, "closecast")}


@each_document
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in list_calls(document, "make"):
        assert {word for word in words if "=" not in word} <= targets, " ".join(words)


@each_document
def test_every_module_that_is_called_exists(document: Path) -> None:
    for words in list_calls(document, "python -m"):
        assert importlib.util.find_spec(words[0]), words[0]


@each_document
def test_every_path_of_the_project_exists(document: Path) -> None:
    folders = "dags|plugins|include|models|tests|benchmarks|docs"
    for code in list_code(document.read_text()):
        for path in re.findall(rf"^(?:{folders})/[\w./-]*$", code):
            assert (PROJECT_ROOT / path).exists(), path


@each_document
def test_every_variable_is_a_setting(document: Path) -> None:
    known = {f"CLOSECAST_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    assert set(re.findall(r"(?<![A-Z_])CLOSECAST_[A-Z_]+", document.read_text())) <= known


@each_document
def test_every_figure_is_filled_in(document: Path) -> None:
    assert re.findall(r"@@\w+@@", document.read_text()) == []


def test_the_readme_has_the_dags_as_they_are() -> None:
    drawn = draw_table(["DAG", "what", "schedule", "reads", "writes"], list(list_dags()))
    assert between(README.read_text(), "dags") == drawn, f"between the marks must stand\n{drawn}"


def list_dags() -> Iterator[list[str]]:
    from airflow.dag_processing.dagbag import DagBag

    folder = PROJECT_ROOT / "dags"
    for dag_id, dag in sorted(DagBag(folder, bundle_path=folder, bundle_name="dags-folder").dags.items()):
        doc = dag.doc_md or ""
        title = re.search(rf"^### {dag_id}: (.+)$", doc, re.MULTILINE)
        assert title
        reads, writes = (re.search(rf"\*\*{name}\*\*: (.+?)\.?\n\n", doc, re.DOTALL)[1] for name in ("Reads", "Writes"))
        schedule = dag.timetable.summary if dag.timetable.can_be_scheduled else "by hand, or by REST"
        yield [f"`{dag_id}`", title[1], schedule, reads, writes]


def test_operations_has_every_setting() -> None:
    rows = [
        [f"`CLOSECAST_{name.upper()}`", "" if field.default is None else f"`{field.default}`", field.description or ""]
        for name, field in Settings.model_fields.items()
    ]
    drawn = draw_table(["variable", "default", "what"], rows)
    found = between((DOCS / "operations.md").read_text(), "settings")
    assert found == drawn, f"between the marks must stand\n{drawn}"


def test_operations_has_every_exit_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    codes = {0, 2} | {kind.exit_code for kind in kinds}
    assert list_cells((DOCS / "operations.md").read_text(), "## Exit codes") == [str(code) for code in sorted(codes)]


def list_tables() -> dict[str, Table]:
    from include.lake import tables

    return {each.name: each for each in vars(tables).values() if isinstance(each, Table)}


@pytest.mark.parametrize("name", sorted(list_tables().keys() - {"adhoc_predictions"}))
def test_tables_has_every_column(name: str) -> None:
    cells = list_cells((DOCS / "tables.md").read_text(), f"## {name}")
    assert [column for cell in cells for column in cell.split(", ")] == list_tables()[name].schema.names


def test_tables_has_every_table_with_its_partition() -> None:
    text = (DOCS / "tables.md").read_text()
    found = dict(zip(list_cells(text, "# Tables"), list_cells(text, "# Tables", 1), strict=True))
    assert found == {name: each.partition or "–" for name, each in list_tables().items()}


def test_tables_has_every_status() -> None:
    assert sorted(list_cells((DOCS / "tables.md").read_text(), "### Statuses")) == sorted(Status)


def test_uploads_has_every_accepted_name() -> None:
    text = (DOCS / "uploads.md").read_text()
    found = dict(zip(list_cells(text, "## Columns"), list_cells(text, "## Columns", 1), strict=True))
    assert found == {meaning: ", ".join(names) for meaning, names in ACCEPTED_NAMES.items()}


def test_uploads_has_every_rule_of_a_row() -> None:
    of_the_reader = (
        rows.ROW_HAS_ALL_FIELDS,
        rows.SYMBOL_NOT_NULL,
        rows.SYMBOL_IS_TEXT,
        rows.NUMBER_IS_READABLE,
        rows.PRICE_NOT_NULL,
    )
    rules = [*of_the_reader, *(entry.name for entry in read_suites(DEFAULT_FILE).rows), CONFLICT, LEVEL]
    assert list_cells((DOCS / "uploads.md").read_text(), "## Rows that are refused") == rules


@pytest.mark.parametrize(
    ("heading", "suite"),
    [("### Kinds for rows", "rows"), ("### Kinds for a session", "session"), ("### Kinds for a snapshot", "snapshot")],
)
def test_quality_has_every_kind_with_its_parameters(heading: str, suite: str) -> None:
    text = (DOCS / "quality.md").read_text()
    described = Suites.model_json_schema()["properties"][suite]["items"]["discriminator"]["mapping"]
    models = {kind: getattr(kinds, path.rpartition("/")[2]) for kind, path in described.items()}
    shared = {"name", "severity", "sentence", "remedy", "kind"}
    wanted = {kind: set(model.model_fields) - shared for kind, model in models.items()}
    cells = [cell.split(", ") if cell else [] for cell in list_cells(text, heading, 1)]
    assert {kind: set(names) for kind, names in zip(list_cells(text, heading), cells, strict=True)} == wanted
