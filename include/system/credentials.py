"""Keys and passwords, made at first start and kept in files that only their owner reads.

They are stable: a restart must not log people out, nor make connections that Airflow stored unreadable.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from include.settings import Settings
from include.system.state import prepare_home

ADMIN = "admin"
SERVICE, PROMOTER, READER = "closecast", "promoter", "reader"
"""MLflow's users beside its admin; see `include.system.mlflow_users`."""


@dataclass(frozen=True)
class Secrets:
    """The keys that all Airflow components share."""

    api_secret_key: str
    jwt_secret: str
    fernet_key: str

    def __repr__(self) -> str:
        return "Secrets(***)"


@dataclass(frozen=True)
class Login:
    """How the admin logs in; `is_new` on the start that made the password."""

    user: str
    password: str
    is_new: bool

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, password='***', is_new={self.is_new})"


def passwords_file(settings: Settings) -> Path:
    """Tell where Airflow's simple auth manager reads the admin's password."""
    return settings.run_dir / "passwords.json"


def load_secrets(settings: Settings) -> Secrets:
    """Read the keys of this home; make them at first start."""
    prepare_home(settings)
    path = settings.run_dir / "secrets.json"
    if not path.exists():
        made = {
            "api_secret_key": secrets.token_urlsafe(32),
            "jwt_secret": secrets.token_urlsafe(64),
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        write_private(path, json.dumps(made))
    return Secrets(**json.loads(path.read_text()))


def load_login(settings: Settings) -> Login:
    """Read the admin's password; make a random one at first start."""
    prepare_home(settings)
    path = passwords_file(settings)
    if is_new := not path.exists():
        write_private(path, json.dumps({ADMIN: secrets.token_urlsafe(12)}) + "\n")
    return Login(ADMIN, json.loads(path.read_text())[ADMIN], is_new)


def mlflow_passwords_file(settings: Settings) -> Path:
    """Tell where the passwords of MLflow's users are kept."""
    return settings.run_dir / "mlflow_passwords.json"


def load_mlflow_passwords(settings: Settings) -> dict[str, SecretStr]:
    """Read the passwords of MLflow's users by name; make random ones at first start."""
    prepare_home(settings)
    path = mlflow_passwords_file(settings)
    if not path.exists():
        made = {name: secrets.token_urlsafe(12) for name in (ADMIN, PROMOTER, READER, SERVICE)}
        write_private(path, json.dumps(made, indent=1) + "\n")
    return {name: SecretStr(password) for name, password in json.loads(path.read_text()).items()}


def use_own_mlflow(settings: Settings, url: str) -> Settings:
    """Return settings that reach the MLflow server of the home; as its service where no other user is set."""
    login = {"mlflow_username": SERVICE, "mlflow_password": load_mlflow_passwords(settings)[SERVICE]}
    chosen = {} if settings.mlflow_username else login
    return settings.model_copy(update={"mlflow_tracking_uri": url, **chosen})


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    # The mode is given when the file is made: a chmod afterwards would leave a moment in which others can read it.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)
