"""Every kind of incident and notice: how bad it is by default, its title, and which other kinds it explains.

A kind that mutes another is its cause: while an incident of it is open, the other's are kept and not told
(Alertmanager calls it inhibition). Each kind of incident has its page in docs/runbooks/.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.alerts.incidents import Severity
from include.errors import InputError


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes
    ----------
    name
        Of the kind, its switch and its runbook's page.
    severity
        Where the incident brings none.
    title
        What stands above a message.
    mutes
        Kinds, or whole keys, that are told only once this is over; {} is what follows the slash in its own key. Behind
        a # stands the one task whose failure it explains: where others failed too, that is told.
    mutes_as
        What must follow the slash in its own key for that; anything where it is empty.
    is_on
        Whether it is told where no setting says so; it is kept either way.
    heals
        An incident has an end; a notice has none.
    unsaid
        The cause, where nobody gave one.
    parts
        What its incidents' parts are.
    """

    name: str
    severity: Severity
    title: str
    mutes: tuple[str, ...] = ()
    mutes_as: str = ""
    is_on: bool = True
    heals: bool = True
    unsaid: str = ""
    parts: str = "Parts"

    @property
    def runbook(self) -> str:
        """The page that says what to do, from the project's folder."""
        return f"docs/runbooks/{self.name}.md"


_AIRFLOW_DOWN = ("run_stuck", "forecasts_missing")

_SERVICES_DOWN = (
    "api_server_down",
    "scheduler_down",
    "dag_processor_down",
    "triggerer_down",
)

_ALL_DOWN = ("run_failed", *_SERVICES_DOWN, "database_down", "mlflow_down", *_AIRFLOW_DOWN)
"""What is to be expected where nothing can be written, or nothing runs."""

_INCIDENTS = (
    Kind(
        "run_failed",
        Severity.ERROR,
        "A run failed",
        unsaid="No task could say why: its process was killed, or somebody marked it as failed.",
        parts="Failed tasks",
    ),
    Kind(
        "gate_refused_session",
        Severity.CRITICAL,
        "A session did not pass its validation",
        ("forecasts_missing", "run_failed/{}"),
        parts="Failed tasks",
    ),
    Kind("run_stuck", Severity.ERROR, "A run is stuck"),
    Kind("forecasts_missing", Severity.CRITICAL, "Forecasts are missing"),
    Kind(
        "upload_missing",
        Severity.CRITICAL,
        "An upload is missing",
        ("forecasts_missing", "run_failed/market_close#wait_for_upload"),
    ),
    Kind("dag_paused", Severity.WARNING, "A DAG is paused", ("forecasts_missing",), "market_close"),
    Kind("dag_broken", Severity.ERROR, "A DAG file does not parse"),
    Kind("api_server_down", Severity.CRITICAL, "Airflow's API server is down", ("run_failed", *_AIRFLOW_DOWN)),
    Kind("scheduler_down", Severity.CRITICAL, "The scheduler is down", _AIRFLOW_DOWN),
    Kind("dag_processor_down", Severity.ERROR, "The DAG processor is down", ("dag_broken",)),
    Kind("triggerer_down", Severity.ERROR, "The triggerer is down", _AIRFLOW_DOWN),
    Kind(
        "database_down",
        Severity.CRITICAL,
        "Airflow's database is down",
        ("run_failed", *_SERVICES_DOWN, *_AIRFLOW_DOWN),
    ),
    Kind(
        "system_down",
        Severity.CRITICAL,
        "The system has died",
        _ALL_DOWN,
    ),
    Kind("mlflow_down", Severity.ERROR, "MLflow is down", ("run_failed/retrain_weekly", "registry_fault")),
    Kind("api_down", Severity.ERROR, "The prediction API is down"),
    Kind("forecasts_old", Severity.ERROR, "The newest forecasts are old"),
    Kind("disk_full", Severity.CRITICAL, "The disk is full", _ALL_DOWN),
    Kind("slack_refused", Severity.ERROR, "Slack refuses our messages", is_on=False),
    Kind("registry_fault", Severity.ERROR, "A move in the registry cannot be followed"),
    Kind("artifact_damaged", Severity.ERROR, "A model's graph is damaged"),
    Kind("drift", Severity.WARNING, "Inputs or outputs drift", parts="Signals"),
    Kind("coverage_breach", Severity.WARNING, "Intervals do not cover what they promise", parts="Signals"),
    Kind("skill_breach", Severity.WARNING, "Forecasts are worse than before", parts="Signals"),
    Kind("quarantine_growing", Severity.WARNING, "More rows are refused than before"),
    Kind("watch_failed", Severity.WARNING, "A watchdog could not look"),
)

_NOTICES = (
    Kind("forecasts_published", Severity.INFO, "Forecasts are out", is_on=False, heals=False),
    Kind("model_promoted", Severity.INFO, "A model was promoted", heals=False),
    Kind("model_refused", Severity.INFO, "A challenger was turned down", heals=False),
    Kind("model_rolled_back", Severity.WARNING, "A model was rolled back", heals=False),
    Kind("model_moved", Severity.WARNING, "What serves was changed in the registry", heals=False),
    Kind("symbol_jump", Severity.INFO, "A symbol jumped", heals=False),
    Kind("test", Severity.INFO, "A test message", heals=False),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_INCIDENTS, *_NOTICES)}


def recall_kind(name: str) -> Kind:
    """Return a kind that was kept; another version of the program may have known more of them."""
    return KINDS.get(name) or Kind(name, Severity.ERROR, name)


def find_kind(name: str) -> Kind:
    """Return a kind by its name.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in KINDS:
        raise InputError(f"a kind of incident must be one of {', '.join(KINDS)}", value=name)
    return KINDS[name]
