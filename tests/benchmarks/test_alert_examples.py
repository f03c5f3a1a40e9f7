"""The examples that the documents show are what the code makes now."""

from __future__ import annotations

import pytest

from benchmarks.alert_examples import build_examples, write_kinds, write_text
from include.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "alerts.md"


@pytest.mark.parametrize(("name", "made"), [("kinds", write_kinds()), ("examples", write_text())])
def test_the_page_shows_what_is_made(name: str, made: str) -> None:
    shown = PAGE.read_text().partition(f"<!-- {name}:begin -->\n")[2].partition(f"<!-- {name}:end -->")[0]
    assert shown == made, f"between the marks must stand\n{made}"


def test_an_example_that_tries_to_ping_does_not() -> None:
    message = build_examples()["Text from data pings nobody and links nowhere"]
    assert "<!channel>" not in message.text
