"""Airflow's own database for `dag.test()`, migrated once, and the project's DAGs as Airflow reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

DAGS = PROJECT_ROOT / "dags"
BUNDLE = "dags-folder"


@pytest.fixture(scope="session")
def database() -> None:
    """Migrate Airflow's database in the tests' own home, and let it know the DAGs: one of them starts another."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name=BUNDLE))
    sync_bag_to_db(DagBag(DAGS, bundle_path=DAGS, bundle_name=BUNDLE), bundle_name=BUNDLE, bundle_version=None)


@pytest.fixture
def dag_bag(database: None) -> DagBag:
    """Every DAG of the project, parsed by Airflow anew: `dag.test()` leaves the run's params in its DAG."""
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(DAGS, bundle_path=DAGS, bundle_name=BUNDLE)
    for dag in found.dags.values():
        # dag.test() ends a good run by asking the database for the id of its deadline, and has its definition instead
        # (Airflow 3.3.2). The one in the database has a test of its own.
        dag.deadline = None
    return found
