"""Where the services of one home listen: loopback ports, those of the last time unless the settings fix others.

The same two addresses are what the components bind, what children are told, and what `closecast status` prints.
"""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import asdict, dataclass

from include.errors import InputError, UnavailableError
from include.files import write_atomically
from include.settings import Settings

_MEMORY = "ports.json"
LOOPBACK = "127.0.0.1"  # a number: localhost is tried as ::1 first, where nothing listens


@dataclass(frozen=True)
class Endpoints:
    """The ports that Airflow's API server and the MLflow server listen on."""

    airflow_port: int
    mlflow_port: int

    @property
    def airflow_url(self) -> str:
        """Airflow's pages and REST API on this machine."""
        return f"http://{LOOPBACK}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        """The MLflow server on this machine."""
        return f"http://{LOOPBACK}:{self.mlflow_port}"


def choose_endpoints(settings: Settings) -> Endpoints:
    """Take the ports that the settings fix; for the rest those of the last time, so that old links lead somewhere.

    Where another program listens on those, or there was no last time, free ones.

    Raises
    ------
    InputError
        If a fixed port is not 1..65535, or both are the same.
    UnavailableError
        If another program listens on a fixed port.
    """
    fixed = {"airflow_port": settings.airflow_port, "mlflow_port": settings.mlflow_port}
    if settings.airflow_port is not None and settings.airflow_port == settings.mlflow_port:
        raise InputError(
            "airflow_port and mlflow_port must differ", value=settings.mlflow_port, place="CLOSECAST_MLFLOW_PORT"
        )
    remembered = _recall_ports(settings)
    # Both sockets are held until both ports are known: otherwise the second could be given the first one's port.
    with contextlib.ExitStack() as held:
        bound = {name: held.enter_context(_bind(name, port)) for name, port in fixed.items() if port is not None}
        for name in fixed.keys() - bound.keys():
            taken = {
                sock.getsockname()[1] for sock in bound.values()
            }  # a second socket may be bound where none listens
            port = remembered.get(name)
            bound[name] = held.enter_context(_bind_again(name, None if port in taken else port))
        ports = {name: int(sock.getsockname()[1]) for name, sock in bound.items()}
    return Endpoints(**ports)


def recall_endpoints(settings: Settings) -> Endpoints:
    """Say where the services of a home listen, or would as they stood the last time."""
    ports = _recall_ports(settings)
    return Endpoints(**ports) if ports else choose_endpoints(settings)


def remember_endpoints(settings: Settings, endpoints: Endpoints) -> None:
    """Write down where the services of a home listen, for the next start."""
    write_atomically(settings.run_dir / _MEMORY, json.dumps(asdict(endpoints)))


def _recall_ports(settings: Settings) -> dict[str, int]:
    """Read the ports of the last time; none where nothing that makes sense is written down."""
    try:
        found = Endpoints(**json.loads((settings.run_dir / _MEMORY).read_text()))
    except (OSError, ValueError, TypeError):
        return {}
    ports = asdict(found)
    return ports if all(type(port) is int and 1 <= port <= 65535 for port in ports.values()) else {}


def _bind_again(name: str, port: int | None) -> socket.socket:
    """Bind the port of the last time, or a free one."""
    try:
        return _bind(name, port)
    except UnavailableError:
        return _bind(name, None)


def _bind(name: str, port: int | None) -> socket.socket:
    place = f"CLOSECAST_{name.upper()}"
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"{name} must be 1..65535", value=port, place=place)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As the servers themselves do: a port whose last connections are still closing is free.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port or 0))
    except OSError as error:
        sock.close()
        raise UnavailableError(f"{name} must be free ({error.strerror})", value=port, place=place) from error
    return sock
