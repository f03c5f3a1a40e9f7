"""The environment that every component and task gets: Airflow and MLflow are configured by nothing else.

Airflow's own variables of the calling shell are dropped, so that a Closecast never touches another Airflow's
database or `~/airflow`. Connections and variables (AIRFLOW_CONN_*, AIRFLOW_VAR_*) pass: the Slack one is given so.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import SecretStr

from include.settings import PROJECT_ROOT, Settings
from include.system.child_socket import SOCKET, socket_path
from include.system.credentials import ADMIN, Secrets, load_secrets, passwords_file, use_own_mlflow
from include.system.endpoints import LOOPBACK, Endpoints

DAGS_FOLDER = PROJECT_ROOT / "dags"

_AIRFLOW = {
    "CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",  # each is a forked scheduler; the heavy work is in their children
    "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks the name server
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    "API__HOST": LOOPBACK,
    "API__WORKERS": "1",
    "DATABASE__CHECK_MIGRATIONS": "False",  # the supervisor has migrated before it starts a component
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # at 5, a short task often holds its slot for 5 s
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # After kill -9 of the scheduler its tasks are taken up again in half a minute, not in five.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
}

_OTHERS = {
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a second process and a task queue that nothing here uses
    "DO_NOT_TRACK": "true",
    "SCARF_ANALYTICS": "false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "PYTHONUNBUFFERED": "1",
    "SPT_NOENV": "1",  # keeps Airflow's process titles from overwriting the marker that the warden looks for
}


def component_environment(
    settings: Settings, endpoints: Endpoints, *, dags_folder: Path = DAGS_FOLDER
) -> dict[str, str]:
    """Build the whole environment of the components.

    Parameters
    ----------
    settings
        Every field that is set is handed on as its CLOSECAST_ variable.
    endpoints
        The ports chosen for this start.
    dags_folder
        The DAGs that Airflow runs.

    Returns
    -------
    dict[str, str]
        Holds secrets: never print it.
    """
    airflow = {
        **_AIRFLOW,
        **_home_of_airflow(settings, dags_folder),
        "TRIGGERER__CAPACITY": str(settings.open_sessions + 100),  # each waits for its upload there
        **_addresses(endpoints),
        **_keys(load_secrets(settings)),
    }
    return {
        **_inherited(),
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
        "AIRFLOW_HOME": str(settings.airflow_home),
        **_OTHERS,
        **_settings_variables(settings, endpoints),
        SOCKET: str(socket_path(settings.run_dir)),
    }


def _inherited() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
    bin_folder = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": os.pathsep.join([bin_folder, kept.get("PATH", os.defpath)]),
        # Tasks' children import include and models from here, whatever folder they start in.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT_ROOT), kept.get("PYTHONPATH")])),
        # Through a proxy, no component would reach another.
        "NO_PROXY": ",".join(filter(None, [kept.get("NO_PROXY"), LOOPBACK, "localhost"])),
        "no_proxy": ",".join(filter(None, [kept.get("no_proxy"), LOOPBACK, "localhost"])),
    }


def _is_foreign(name: str) -> bool:
    # Without byte-code every task would pay seconds for its imports.
    exact = {"PYTHONDONTWRITEBYTECODE", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"}
    exact |= {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    return name in exact or name.startswith(("AIRFLOW__", "CLOSECAST_"))


def _home_of_airflow(settings: Settings, dags_folder: Path) -> dict[str, str]:
    return {
        "CORE__DAGS_FOLDER": str(dags_folder),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(settings)),
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_database(settings)}",
    }


def airflow_database(settings: Settings) -> Path:
    """Tell where Airflow's own SQLite database lies."""
    return settings.airflow_home / "airflow.db"


def _addresses(endpoints: Endpoints) -> dict[str, str]:
    return {
        "API__PORT": str(endpoints.airflow_port),
        "API__BASE_URL": endpoints.airflow_url,
        "CORE__EXECUTION_API_SERVER_URL": f"{endpoints.airflow_url}/execution/",
    }


def _keys(keys: Secrets) -> dict[str, str]:
    return {
        "API__SECRET_KEY": keys.api_secret_key,
        "API_AUTH__JWT_SECRET": keys.jwt_secret,
        "CORE__FERNET_KEY": keys.fernet_key,
    }


def _settings_variables(settings: Settings, endpoints: Endpoints) -> dict[str, str]:
    known = settings if settings.mlflow_tracking_uri else use_own_mlflow(settings, endpoints.mlflow_url)
    return settings_variables(known.model_copy(update={"airflow_url": settings.airflow_url or endpoints.airflow_url}))


def settings_variables(settings: Settings) -> dict[str, str]:
    """Write settings as the variables that give the same settings to a child; fields that are None are left out."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {f"CLOSECAST_{name.upper()}": _text_of(value) for name, value in values.items() if value is not None}


def program_environment(settings: Settings) -> dict[str, str]:
    """Build the environment of a program of ours that runs by itself: the caller's, and the settings whole.

    Holds secrets: never print it.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("CLOSECAST_")}
    path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), own.get("PYTHONPATH")]))
    return {**own, **settings_variables(settings), "PYTHONPATH": path}


def _text_of(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
