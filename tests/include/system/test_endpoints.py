"""Ports: free ones, fixed ones, and those that cannot be."""

import socket
from dataclasses import replace

import pytest

from include.errors import InputError, UnavailableError
from include.system.endpoints import choose_endpoints, remember_endpoints


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


def test_the_ports_of_the_last_time_are_taken_again_where_they_are_free(settings, taken_port):
    first = choose_endpoints(settings)
    remember_endpoints(settings, first)
    assert choose_endpoints(settings) == first
    remember_endpoints(settings, replace(first, mlflow_port=taken_port))
    again = choose_endpoints(settings)
    assert again.airflow_port == first.airflow_port
    assert again.mlflow_port not in (taken_port, first.airflow_port)


def test_a_port_that_is_fixed_goes_before_one_of_the_last_time(settings):
    first = choose_endpoints(settings)
    remember_endpoints(settings, first)
    found = choose_endpoints(settings.model_copy(update={"mlflow_port": first.airflow_port}))
    assert found.mlflow_port == first.airflow_port != found.airflow_port


@pytest.mark.parametrize("text", ["", "[]", '{"airflow_port": "x", "mlflow_port": 0}', '{"airflow_port": 1}'])
def test_ports_that_make_no_sense_are_forgotten(settings, text):
    settings.run_dir.mkdir(parents=True)
    (settings.run_dir / "ports.json").write_text(text)
    assert choose_endpoints(settings).airflow_port > 1023


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
