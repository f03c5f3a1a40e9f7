"""Exact Shapley values: how much each of a few players adds, averaged over all orders in which they may join.

L. S. Shapley, A value for n-person games, Contributions to the Theory of Games II (1953), pages 307 to 317.
"""

from __future__ import annotations

from math import factorial

import numpy as np
import numpy.typing as npt

from include.errors import ClosecastError, InputError

MOST_PLAYERS = 10

Floats = npt.NDArray[np.float64]


def list_coalitions(players: int) -> npt.NDArray[np.bool_]:
    """Return all coalitions, bool (2^players, players): the first has nobody, the last everybody.

    Raises
    ------
    InputError
        There are none, or more than `MOST_PLAYERS`.
    """
    if not 1 <= players <= MOST_PLAYERS:
        raise InputError(f"players must be 1..{MOST_PLAYERS}", value=players)
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def share_out(worth: Floats) -> Floats:
    """Share the worth of all out among the players.

    Parameters
    ----------
    worth
        (2^players, n_outputs), in the order of `list_coalitions`.

    Returns
    -------
    numpy.ndarray
        (players, n_outputs); they sum to the worth of everybody less that of nobody.

    Raises
    ------
    ClosecastError
        They do not, by more than rounding: the worth is not finite.

    Examples
    --------
    >>> share_out(np.array([[0.0], [1.0], [2.0], [5.0]])).ravel().tolist()
    [2.0, 3.0]
    """
    players = int(np.log2(len(worth)))
    members = list_coalitions(players)
    sizes = members.sum(axis=1)
    weights = np.array([factorial(k) * factorial(players - k - 1) / factorial(players) for k in range(players)])
    shares = np.empty((players, worth.shape[1]))
    for player in range(players):
        without = np.flatnonzero(~members[:, player])
        gains = worth[without + (1 << player)] - worth[without]
        shares[player] = weights[sizes[without]] @ gains
    whole = worth[-1] - worth[0]
    if not np.allclose(shares.sum(axis=0), whole, rtol=0, atol=1e-9 * max(1.0, float(np.abs(worth).max()))):
        raise ClosecastError("shares must sum to the whole", value=f"{shares.sum(axis=0)}, the whole {whole}")
    return shares
