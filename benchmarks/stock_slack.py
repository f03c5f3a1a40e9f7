"""The Slack provider of stock Airflow, installed where only a benchmark's system looks: the house does without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PINNED = "apache-airflow-providers-slack==9.11.1"
DAGS = Path(__file__).with_name("dying") / "dags" / "stock.py"


def prepare_provider() -> Path:
    """Install the provider where it is not there yet; return the folder to import it from.

    What it needs beside itself (Airflow, slack_sdk) is the project's own.

    Raises
    ------
    subprocess.CalledProcessError
        No index can be reached.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "closecast" / PINNED.replace("==", "-")
    if not (folder / "airflow").is_dir():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*install, "--target", str(folder), PINNED], check=True, timeout=300)
    return folder


def describe_connection(webhook_url: str) -> dict[str, str]:
    """Give the variable by which Airflow knows the webhook, as the provider's documentation asks."""
    return {"AIRFLOW_CONN_STOCK_SLACK": json.dumps({"conn_type": "slackwebhook", "password": webhook_url})}
