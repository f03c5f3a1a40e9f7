"""Shares by a textbook game, by symmetry, and by all orders of joining."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from include.audit.shapley import list_coalitions, share_out
from include.errors import ClosecastError, InputError


def test_the_glove_game() -> None:
    # One left glove (player 0), two right ones; a pair is worth 1. Shapley: 2/3, 1/6, 1/6 (any textbook on the game).
    members = list_coalitions(3)
    worth = (members[:, 0] & (members[:, 1] | members[:, 2])).astype(float)[:, None]
    assert share_out(worth).ravel() == pytest.approx([2 / 3, 1 / 6, 1 / 6], abs=1e-15)


def test_shares_are_the_mean_over_all_orders_and_sum_to_the_whole() -> None:
    worth = np.random.default_rng(3).normal(size=(2**4, 2))
    expected = np.zeros((4, 2))
    for order in permutations(range(4)):
        coalition = 0
        for player in order:
            expected[player] += (worth[coalition | 1 << player] - worth[coalition]) / 24
            coalition |= 1 << player
    shares = share_out(worth)
    np.testing.assert_allclose(shares, expected, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=0), worth[-1] - worth[0], atol=1e-12)


def test_a_worth_that_is_no_number_is_refused() -> None:
    with pytest.raises(ClosecastError, match="shares must sum to the whole"):
        share_out(np.array([[0.0], [np.nan], [1.0], [2.0]]))


@pytest.mark.parametrize("players", [0, 11])
def test_players_are_bounded(players: int) -> None:
    with pytest.raises(InputError, match=r"players must be 1\.\.10"):
        list_coalitions(players)
