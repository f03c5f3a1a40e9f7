"""The contracts by which a team's own model can be adopted, by name; a further one is a further entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from include.adopt import crypto_open
from include.adopt.network import Network
from include.adopt.scalers import Scalers
from include.errors import NotFoundError


@dataclass(frozen=True)
class Contract:
    """What a model's files must be, what graph is made of them, and when that agrees with the original.

    Attributes
    ----------
    name
        The kind of the registered version.
    lookback
        Raw sessions in a window of the graph.
    forecasts
        The targets that it forecasts.
    columns
        Those that each symbol must have a scaler for.
    build
        Makes the graph.
    raw
        The graph's tensor that a file of expected answers holds, under the same name.
    relative_tolerance, absolute_tolerance
        How far a raw answer may be from the expected one: the sum of the second and of so much of the expected one.
    """

    name: str
    lookback: int
    forecasts: tuple[str, ...]
    columns: tuple[str, ...]
    build: Callable[[Network, Scalers], onnx.ModelProto]
    raw: str
    relative_tolerance: float
    absolute_tolerance: float


CONTRACTS = {
    each.name: each
    for each in (
        Contract(
            name=crypto_open.NAME,
            lookback=crypto_open.LOOKBACK,
            forecasts=crypto_open.FORECASTS,
            columns=crypto_open.COLUMNS,
            build=crypto_open.build_graph,
            raw=crypto_open.RAW,
            relative_tolerance=1e-4,
            absolute_tolerance=2e-6,
        ),
    )
}


def find_contract(name: str) -> Contract:
    """Return a contract.

    Raises
    ------
    NotFoundError
        There is none of that name: names those that there are.
    """
    if name not in CONTRACTS:
        raise NotFoundError(f"contract must be one of {', '.join(CONTRACTS)}", value=name)
    return CONTRACTS[name]
