"""`closecast airflow`: Airflow's own command line, on the home's Airflow."""

from __future__ import annotations

import typer

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line on the home's Airflow: closecast airflow dags list."""
    from include.home import recall_home
    from include.settings import load_settings
    from include.system.airflow_cli import run_airflow

    raise typer.Exit(run_airflow(recall_home(load_settings()), context.args or ["--help"]))
