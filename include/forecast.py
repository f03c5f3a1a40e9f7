"""A session forecast from end to end without Airflow: validated, scored, published, settled."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from include.monitoring.outcomes import Settlement, settle
from include.quality.results import require_valid
from include.quality.session import validate_session
from include.registry.resolve import resolve_version
from include.scoring.calibration import current_calibration
from include.scoring.chart import publish_chart
from include.scoring.publish import publish_session
from include.scoring.score import ScoreReport, score_session
from include.scoring.sentinel import check_future
from include.settings import Settings


def forecast_session(settings: Settings, session: date, *, asked_by: str) -> tuple[ScoreReport, list[Path]]:
    """Forecast a session whose bars are there, as `market_close` does behind its ingest.

    Returns
    -------
    ScoreReport and list of Path
        What was scored, and the published files.

    Raises
    ------
    BlockedError
        The session does not keep its expectations, or an earlier one is forecast otherwise with another future.
    """
    require_valid(validate_session(settings, session))
    check_future(settings, session)
    report = score_session(settings, session, run_id=asked_by)
    files = publish_session(settings, session)
    settle_session(settings, session)
    return report, files


def settle_session(settings: Settings, session: date) -> Settlement:
    """Join a session with the forecasts that spoke of it, calibrate the next intervals, write the chart's file."""
    settled = settle(settings, session)
    current_calibration(settings, resolve_version(settings), session)
    publish_chart(settings)
    return settled
