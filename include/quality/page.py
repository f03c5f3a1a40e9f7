"""A page of ours from its template: the style that all share, nothing that runs, text from data as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from include.console import show_controls

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""No script, no picture, no request: a page is text with a style of its own."""


def draw_page(
    package: str, template: str, *, filters: Mapping[str, Callable[..., str]] | None = None, **said: Any
) -> str:
    """Draw a template that lies in a package, with these filters besides `seen`, and what it is to say."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"seen": show_controls, **(filters or {})}
    style = files("include.quality").joinpath("data_docs.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(policy=POLICY, style=style, **said)
