"""The services of a system as seen from outside: what each says of itself, and what its supervisor has seen.

A service that says nothing because the one it speaks through is gone (a scheduler's heartbeat is told by the API
server, out of the database) is not judged. A death that was mended within a second is told all the same: somebody
should know that it happens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from include.alerts.incidents import Incident
from include.settings import Settings
from include.system.components import AIRFLOW_HEALTH
from include.system.health import Answer, Probe, ask, find_problem
from include.system.process import GAVE_UP, RESTARTING
from include.system.state import State
from include.watchdog.findings import Findings, Sighting, judge_kinds

KIND_OF = {
    "api-server": "api_server_down",
    "scheduler": "scheduler_down",
    "dag-processor": "dag_processor_down",
    "triggerer": "triggerer_down",
    "mlflow": "mlflow_down",
    "prediction-api": "api_down",
}
DATABASE = "database_down"

DOWN_LOOKS = 3
"""Of the newest looks: a heartbeat is late, and an answer slow, on a machine that is busy."""

ANSWER_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Service:
    """What is looked at; `status`, `death` and `restarts` are its supervisor's words where it has one."""

    name: str
    probe: Probe
    started_at: float = 0.0
    status: str | None = None
    death: str | None = None
    restarts: int = 0


def list_services(settings: Settings, state: State | None) -> list[Service]:
    """List what is to be looked at: what the supervisor of the home runs, or what settings name."""
    found = _of_supervisor(state) if state else _of_settings(settings)
    names = {service.name for service in found}
    if settings.mlflow_tracking_uri and "mlflow" not in names and settings.mlflow_tracking_uri.startswith("http"):
        found.append(Service("mlflow", Probe(f"{settings.mlflow_tracking_uri.rstrip('/')}/health")))
    if settings.prediction_url:
        found.append(Service("prediction-api", Probe(settings.prediction_url)))
    return found


def _of_supervisor(state: State) -> list[Service]:
    return [
        Service(name, Probe(each.url, each.section), each.started_at, each.status, each.death, each.restarts)
        for name, each in state.components.items()
        if name in KIND_OF
    ]


def _of_settings(settings: Settings) -> list[Service]:
    if settings.watch_airflow_url is None:
        return []
    health = settings.watch_airflow_url.rstrip("/") + AIRFLOW_HEALTH
    workers = ("scheduler", "dag-processor", "triggerer")
    return [
        Service("api-server", Probe(health)),
        *(Service(name, Probe(health, name.replace("-", "_"))) for name in workers),
    ]


def ask_services(services: Sequence[Service]) -> dict[str, Answer]:
    """Ask each address once."""
    return {url: ask(url, ANSWER_TIMEOUT_S) for url in {service.probe.url for service in services}}


def check_services(
    services: Sequence[Service],
    answers: Mapping[str, Answer],
    *,
    before: Mapping[str, int],
    database_problem: str | None,
    known_keys: Collection[str],
) -> Findings:
    """Judge the services and the database behind them.

    Parameters
    ----------
    services
        What was looked at.
    answers
        By address.
    before
        How often each had been restarted at the look before; a name that is not there is not compared.
    database_problem
        What is wrong with Airflow's database by a look at itself, if one was possible.
    known_keys
        Of incidents that are open or were sighted.
    """
    said = database_problem or _ask_about_database(answers)
    found = judge_kinds({DATABASE}, [Sighting(_describe_database(said), DOWN_LOOKS)] if said else [], known_keys)
    for service in services:
        if (died := _find_death(service, before)) is not None:
            found += Findings((Sighting(_describe(service, died)),))
        elif _is_heard(service, answers[service.probe.url], is_database_well=said is None):
            problem = find_problem(service.probe, answers[service.probe.url], started_at=service.started_at)
            sightings = [Sighting(_describe(service, problem), DOWN_LOOKS)] if problem else []
            found += judge_kinds({KIND_OF[service.name]}, sightings, known_keys)
    return found


def _find_death(service: Service, before: Mapping[str, int]) -> str | None:
    """Say how a service has died since the look before, or is dead now."""
    said = f"It {service.death or 'ended'}"
    if service.status == GAVE_UP:
        return f"{said}, again and again, and was given up."
    if service.status == RESTARTING or service.restarts > before.get(service.name, service.restarts):
        return f"{said}, and is started again."
    return None


def _is_heard(service: Service, answer: Answer, *, is_database_well: bool) -> bool:
    return service.probe.section is None or (answer.problem is None and is_database_well)


def _ask_about_database(answers: Mapping[str, Answer]) -> str | None:
    """Read what Airflow says about its database; None where it says that it is well, or nothing."""
    said = [
        answer.document["metadatabase"].get("status")
        for answer in answers.values()
        if "metadatabase" in answer.document
    ]
    return "Airflow cannot read it" if any(each != "healthy" for each in said) else None


def _describe(service: Service, problem: str) -> Incident:
    kind = KIND_OF[service.name]
    return Incident(key=f"{kind}/{service.name}", kind=kind, summary=f"{service.name} is down", cause=problem)


def _describe_database(problem: str) -> Incident:
    return Incident(
        key=f"{DATABASE}/airflow", kind=DATABASE, summary="Airflow's database cannot be used", cause=problem
    )
