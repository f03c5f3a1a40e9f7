"""Airflow's own database for `dag.test()`, migrated once, and the project's DAGs as Airflow reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

DAGS = PROJECT_ROOT / "dags"


@pytest.fixture(scope="session")
def database() -> None:
    """Migrate Airflow's database in the tests' own home."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def dag_bag(database: None) -> DagBag:
    """Every DAG of the project, parsed by Airflow anew: `dag.test()` leaves the run's params in its DAG."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS, bundle_path=DAGS, bundle_name="dags-folder")
