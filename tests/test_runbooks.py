"""Every kind of incident has a runbook that says what to do, and the index leads to all of them.

That links and commands in them exist is tested with those of all documents, in `test_docs`.
"""

import re

import pytest

from include.alerts.kinds import KINDS
from include.settings import PROJECT_ROOT

RUNBOOKS = PROJECT_ROOT / "docs" / "runbooks"
SECTIONS = ["## What it means", "## How to see", "## How to mend", "## How to verify"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_has_its_page_with_four_sections_that_say_something(kind):
    title, *lines = (PROJECT_ROOT / kind.runbook).read_text().splitlines()
    assert title == f"# {kind.title}"
    assert [line for line in lines if line.startswith("#")] == SECTIONS
    bodies = re.split(r"^## .+$", "\n".join(lines), flags=re.MULTILINE)[1:]
    assert all(body.strip() for body in bodies)


def test_the_index_leads_to_every_page_and_every_page_is_of_a_kind():
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    linked = set(re.findall(r"\]\(([\w.]+\.md)\)", (RUNBOOKS / "README.md").read_text()))
    assert pages == {f"{name}.md" for name in KINDS} | {"rollback.md"} == linked


def test_a_page_names_a_command_that_shows_the_state():
    for name in KINDS:
        see = (RUNBOOKS / f"{name}.md").read_text().partition("## How to see")[2].partition("\n## ")[0]
        assert re.search(r"^ {4}(closecast|df|fuser) ", see, re.MULTILINE), name
