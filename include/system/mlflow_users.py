"""Who may do what in the home's own MLflow server: its users, made before it starts, and how it is told of them.

Everybody who logs in may read. `promoter` may move stages and aliases of the registered model, `admin` may do all and
make further users on MLflow's own pages. `closecast` is what tasks and commands log in as: it trains and registers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from include.settings import Settings
from include.system.credentials import ADMIN, PROMOTER, SERVICE, load_mlflow_passwords, load_secrets, write_private

_CACHE_S = 60  # a password is hashed slowly on purpose (80 ms): not at each of the dozens of requests of a page


def prepare_users(settings: Settings) -> dict[str, str]:
    """Make the users that are missing, and return the variables by which `mlflow server` finds them.

    A password that was changed in MLflow stays; the service's alone is always the one that the home keeps.
    """
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(f"sqlite:///{_database(settings)}")
    _database(settings).chmod(0o600)
    for name, password in load_mlflow_passwords(settings).items():
        if not store.has_user(name):
            store.create_user(name, password.get_secret_value(), is_admin=name == ADMIN)
        elif name == SERVICE and not store.authenticate_user(name, password.get_secret_value()):
            store.update_user(name, password=password.get_secret_value())
    for resource in ("experiment", "registered_model"):
        store.grant_user_permission(SERVICE, resource, "*", "MANAGE")
    store.grant_user_permission(PROMOTER, "registered_model", settings.model_name, "EDIT")
    store.engine.dispose()
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(_write_configuration(settings)),
        # Signs the form of the page that makes users; stable, since it must outlive a restart.
        "MLFLOW_FLASK_SERVER_SECRET_KEY": _derive_key(load_secrets(settings).api_secret_key),
    }


def _database(settings: Settings) -> Path:
    return settings.mlflow_home / "users.db"


def _write_configuration(settings: Settings) -> Path:
    path = settings.run_dir / "mlflow_auth.ini"
    said = {
        "default_permission": "READ",
        "database_uri": f"sqlite:///{_database(settings)}",
        "admin_username": ADMIN,
        "authorization_function": "include.system.mlflow_hook:authenticate",
        "auth_cache_ttl_seconds": str(_CACHE_S),
    }
    write_private(path, "\n".join(["[mlflow]", *(f"{key} = {value}" for key, value in said.items()), ""]))
    return path


def _derive_key(secret: str) -> str:
    return hashlib.sha256(f"mlflow {secret}".encode()).hexdigest()
