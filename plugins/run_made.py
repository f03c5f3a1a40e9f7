"""The moment that a run is made, as what a deadline counts from.

Airflow's own `DeadlineReference.DAGRUN_QUEUED_AT` means nearly the same, but counts anew when a run is cleared, and
fails there in 3.3: nobody could clear a failed run of the DAG, neither on the page nor by the API (apache/airflow
issue 70368). A run that is taken up again keeps its deadline.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseDeadlineReference, deadline_reference


@deadline_reference
class RunMade(BaseDeadlineReference):
    """Airflow asks it once, as it makes the run."""

    def _evaluate_with(self, **_: Any) -> datetime:
        return datetime.now(UTC)


class RunMadePlugin(AirflowPlugin):
    """Make the reference known to the scheduler, which reads it from the stored DAG."""

    name = "run_made"
    deadline_references = (RunMade,)
