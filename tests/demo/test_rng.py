from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestration.demo.rng import Draws

keys = st.lists(st.integers(0, 2**60), min_size=1, max_size=30)


@given(keys, st.integers(0, 2**31))
def test_a_draw_does_not_depend_on_what_is_drawn_with_it(values: list[int], seed: int) -> None:
    draws = Draws(seed)
    together = draws.unit("stream", np.array(values), 3)
    alone = [float(draws.unit("stream", np.array([value]), 3)[0]) for value in values]
    assert together.tolist() == alone


@given(keys)
def test_streams_and_seeds_are_independent(values: list[int]) -> None:
    array = np.array(values)
    one = Draws(1).bits("a", array)
    assert not np.array_equal(one, Draws(1).bits("b", array))
    assert not np.array_equal(one, Draws(2).bits("a", array))


def test_units_are_uniform_and_below_one() -> None:
    unit = Draws(3).unit("u", np.arange(200_000))
    assert unit.min() >= 0.0
    assert unit.max() < 1.0
    shares = np.histogram(unit, bins=20, range=(0, 1))[0] / len(unit)
    assert np.abs(shares - 0.05).max() < 0.003


def test_choice_follows_its_weights() -> None:
    chosen = Draws(3).choice([1, 2, 7], "c", np.arange(50_000))
    shares = np.bincount(chosen, minlength=3) / 50_000
    assert np.abs(shares - [0.1, 0.2, 0.7]).max() < 0.01


def test_no_keys_no_draws() -> None:
    assert len(Draws(3).normal("n", np.empty(0, dtype=np.int64), 4)) == 0
