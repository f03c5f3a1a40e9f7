"""Ports: free ones, fixed ones, and those that cannot be."""

import socket

import pytest

from include.errors import InputError, UnavailableError
from include.system.endpoints import choose_endpoints


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_differ_and_can_be_bound(settings):
    endpoints = choose_endpoints(settings)
    assert endpoints.airflow_port != endpoints.mlflow_port
    for port in (endpoints.airflow_port, endpoints.mlflow_port):
        socket.create_server(("127.0.0.1", port)).close()


def test_fixed_ports_are_honoured(settings):
    free = choose_endpoints(settings)
    fixed = settings.model_copy(update={"airflow_port": free.airflow_port, "mlflow_port": free.mlflow_port})
    assert choose_endpoints(fixed) == free
    assert choose_endpoints(fixed).airflow_url == f"http://127.0.0.1:{free.airflow_port}"


@pytest.mark.parametrize("name", ["airflow_port", "mlflow_port"])
def test_a_taken_port_is_refused(settings, taken_port, name):
    with pytest.raises(UnavailableError, match=f"{name} must be free.*{taken_port}.*CLOSECAST_{name.upper()}"):
        choose_endpoints(settings.model_copy(update={name: taken_port}))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(settings, port):
    with pytest.raises(InputError, match=f"airflow_port must be 1..65535. Received: {port}"):
        choose_endpoints(settings.model_copy(update={"airflow_port": port}))


def test_the_same_port_twice_is_refused(settings):
    with pytest.raises(InputError, match="must differ"):
        choose_endpoints(settings.model_copy(update={"airflow_port": 5000, "mlflow_port": 5000}))
