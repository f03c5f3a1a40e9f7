"""Data Docs: a page for each validation, drawn by Great Expectations' own renderer, and an index of the newest.

The library's site builder is not used: it draws all pages of a site again, drops those whose results it does not keep
itself, and its pages load scripts and styles from five other servers. Here a page is drawn once, holds its own style
and no script, and forbids both from elsewhere: what an upload called a symbol is shown and never run.
"""

from __future__ import annotations

import html
import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from include.files import write_atomically
from include.quality.page import POLICY
from include.quality.results import ValidationReport
from include.settings import Settings

NEWEST_PAGES = 60
"""Pages that are kept."""

MOUNT = "/data-docs"
"""Where Airflow's web server shows them: `plugins/data_docs.py`."""

INDEX = "index.html"

_NAME = re.compile(
    r"(?P<suite>session|snapshot)_(?P<session>\d{4}-\d{2}-\d{2})_(?P<at>\d{8}T\d{12}Z)_(?P<outcome>passed|warned|blocked)\.html"
)
_HARMLESS = str.maketrans({"<": "‹", ">": "›", '"': "”", "'": "’", "&": "+", "$": "S"})
"""Stand-ins for what HTML, and the library's own templates, would take for markup."""

_LINK_ELSEWHERE = re.compile(r'<a\b[^>]*href="\.\./[^"]*"[^>]*>(.*?)</a>', re.DOTALL)
"""A link of the library to a page of its own site, which is not drawn."""

_STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True)
class Page:
    """A page by its name, which says what the index needs."""

    name: str
    suite: str
    session: date
    at: datetime
    outcome: str


def write_page(settings: Settings, report: ValidationReport, library_result: Any) -> tuple[Path, float]:
    """Write a run's page and the index, and drop the oldest pages.

    Parameters
    ----------
    settings
        Where the pages lie.
    report
        What was found.
    library_result
        `engine.SuiteRun.library_result` of the same run.

    Returns
    -------
    path
        The page.
    seconds
        That it took.
    """
    started = time.perf_counter()
    folder = settings.data_docs
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _name_page(report, datetime.now(UTC))
    write_atomically(path, _draw_page(report, library_result))
    for page in list_pages(folder)[NEWEST_PAGES:]:
        (folder / page.name).unlink(missing_ok=True)  # another run may have dropped it
    write_atomically(folder / INDEX, _draw_index(list_pages(folder)))
    return path, time.perf_counter() - started


def list_pages(folder: Path) -> list[Page]:
    """List the pages of a folder, the newest first; other files are not looked at."""
    found = [_NAME.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
    pages = [
        Page(
            name=match[0],
            suite=match["suite"],
            session=date.fromisoformat(match["session"]),
            at=datetime.strptime(match["at"], _STAMP).replace(tzinfo=UTC),
            outcome=match["outcome"],
        )
        for match in found
        if match
    ]
    return sorted(pages, key=lambda page: page.at, reverse=True)


def is_page(name: str) -> bool:
    """Say whether a name is one that pages have: what is served is never more than that."""
    return name == INDEX or _NAME.fullmatch(name) is not None


def link_page(settings: Settings, report: ValidationReport) -> str:
    """Return where a person opens a report's page: behind Airflow's login, or as a file."""
    if report.page is None:
        return "no page"
    if settings.airflow_url:
        return f"{settings.airflow_url.rstrip('/')}{MOUNT}/{report.page.name}"
    return report.page.as_uri()


def _name_page(report: ValidationReport, at: datetime) -> str:
    outcome = "blocked" if report.blocking else "warned" if report.failed else "passed"
    return f"{report.suite}_{report.session}_{at.strftime(_STAMP)}_{outcome}.html"


def _draw_page(report: ValidationReport, library_result: Any) -> str:
    """Draw a run by the library's renderer and view, in a frame of our own."""
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import ChoiceLoader, DictLoader

    view = DefaultJinjaPageView()
    # The library's sections and tables, without the parts of its page that need scripts or other servers.
    view.env.loader = ChoiceLoader([DictLoader(_templates()), view.env.loader])
    for each in library_result.results:
        each.result, each.exception_info = _disarm(each.result), _disarm(each.exception_info)
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(library_result)
    title = f"{report.suite} {report.session}, bars version {report.bars_version}"
    drawn = str(view.render(document, title=title, summary=_draw_summary(report), show_how_to_buttons=False))
    return _LINK_ELSEWHERE.sub(r"\1", drawn)


def _disarm(found: Any) -> Any:
    """Take the markup out of every text of a result, and numpy's types off its numbers, at any depth.

    The library writes a number by its repr, which of numpy's is `np.float64(0.0)`: it then draws nothing. And it puts
    some values into its page as they are, and escapes others: what is no markup is safe in both. Our own table above
    shows a name as it came.
    """
    if isinstance(found, np.generic):
        return found.item()
    if isinstance(found, str):
        return found.translate(_HARMLESS)
    if isinstance(found, dict):
        return {_disarm(key): _disarm(value) for key, value in found.items()}
    return [_disarm(each) for each in found] if isinstance(found, list | tuple) else found


def _templates() -> dict[str, str]:
    here = Path(__file__).parent
    empty = ("js_script_imports.j2", "favicon.j2", "top_navbar.j2", "sidebar.j2", "cloud-footer.j2", "cta_footer.j2")
    return {
        "page.j2": (here / "page.j2").read_text(encoding="utf-8"),
        "data_docs.css": (here / "data_docs.css").read_text(encoding="utf-8"),
        **dict.fromkeys(empty, ""),
    }


def _draw_summary(report: ValidationReport) -> str:
    """Draw our own table: an expectation a row, those that failed first."""
    order = sorted(report.results, key=lambda result: (result.success, result.severity))
    rows = [
        [
            _mark("passed" if result.success else "blocked" if result.severity == "session" else "warned"),
            html.escape(result.expectation),
            f"{result.unexpected_count:,}" if not result.success else "",
            html.escape(", ".join(result.symbols)),
            html.escape(result.detail),
        ]
        for result in order
    ]
    return _draw_table(["", "expectation", "count", "examples", "observed"], rows)


def _draw_index(pages: list[Page]) -> str:
    rows = [
        [
            _mark(page.outcome),
            f'<a href="{page.name}">{page.suite} {page.session}</a>',
            f"{page.at:%Y-%m-%d %H:%M:%S} UTC",
        ]
        for page in pages
    ]
    style = (Path(__file__).parent / "data_docs.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>'
        f"{style}</style></head><body><h1>Data Docs</h1><p>The newest {len(pages)} validations.</p>"
        f"{_draw_table(['', 'validation', 'run at'], rows)}</body></html>"
    )


def _mark(outcome: str) -> str:
    return f'<span class="mark {outcome}">{outcome}</span>'


def _draw_table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="summary"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
