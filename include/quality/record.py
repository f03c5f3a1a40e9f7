"""A run of a suite put on record: its results in `validations` first, then its page in the Data Docs."""

from __future__ import annotations

import logging
from dataclasses import replace

from include.quality.docs import write_page
from include.quality.engine import SuiteRun
from include.quality.results import ValidationReport, keep_report
from include.settings import Settings

logger = logging.getLogger(__name__)


def record_run(settings: Settings, report: ValidationReport, run: SuiteRun) -> ValidationReport:
    """Keep a report and draw its page; a page that cannot be drawn is told of and stops nothing.

    Returns
    -------
    ValidationReport
        The same with its page and the seconds that the page took.
    """
    keep_report(settings.lake, report)
    try:
        page, seconds = write_page(settings, report, run.library_result)
    except OSError as error:
        logger.warning("the page of %s %s was not written: %s", report.suite, report.session, error)
        return report
    return replace(report, page=page, page_seconds=seconds)
