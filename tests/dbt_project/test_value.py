"""The value projection against the published results on the CDNOW sample, and its behaviour on made-up people."""

from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

MODEL = Path(__file__).resolve().parents[2] / (
    "dbt_project/models/intermediate/traits/int_customer_value.py"
)
END = date(1997, 9, 30)


def load() -> ModuleType:
    """Import the model as dbt does: by its path."""
    spec = importlib.util.spec_from_file_location("int_customer_value", MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


value = load()


@pytest.fixture(scope="module")
def cdnow(shared_data: Path) -> dict[str, np.ndarray]:
    """Purchases of the first 39 weeks: repeats, recency and age in weeks, mean value of the repeats."""
    days: dict[str, dict[date, float]] = {}
    for line in (shared_data / "cdnow" / "CDNOW_sample.txt").read_text().splitlines():
        _, customer, day, _, amount = line.split()
        bought = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        if bought <= END:
            of_customer = days.setdefault(customer, {})
            of_customer[bought] = of_customer.get(bought, 0) + float(amount)
    rows = []
    for purchases in days.values():
        order = sorted(purchases)
        repeat_values = [purchases[day] for day in order[1:]]
        rows.append(
            (
                len(order) - 1,
                (order[-1] - order[0]).days / 7,
                (END - order[0]).days / 7,
                sum(repeat_values) / len(repeat_values) if repeat_values else 0,
            )
        )
    columns = np.array(rows, dtype=float).T
    return dict(zip(("repeats", "recency", "age", "mean_value"), columns, strict=True))


def test_the_published_parameters_are_found_on_the_cdnow_sample(cdnow):
    assert len(cdnow["repeats"]) == 2357
    params, likelihood = value.fit_bgnbd(cdnow["repeats"], cdnow["recency"], cdnow["age"])
    print(f"\nBG/NBD r, alpha, a, b = {params.round(4)}, log-likelihood {likelihood:.2f}")
    assert params == pytest.approx([0.2426, 4.4136, 0.7929, 2.4259], abs=1e-3)
    assert likelihood == pytest.approx(-9582.43, abs=0.01)


def test_the_published_spend_parameters_are_found(cdnow):
    again = (cdnow["repeats"] > 0) & (cdnow["mean_value"] > 0)
    assert again.sum() == 946
    params, _ = value.fit_gamma_gamma(cdnow["repeats"][again], cdnow["mean_value"][again])
    print(f"\nGamma-Gamma p, q, v = {params.round(3)}")
    assert params == pytest.approx([6.25, 3.74, 15.44], rel=5e-3)


def test_the_published_expectation_of_one_customer_is_found():
    # Fader, Hardie and Lee's example: 2 repeats, the last after 30.43 of 38.86 weeks, 39 weeks ahead
    params = (0.243, 4.414, 0.793, 2.426)
    one = [np.array([number]) for number in (2.0, 30.43, 38.86)]
    assert value.predict_orders(params, *one, 39.0)[0] == pytest.approx(1.226, abs=1e-3)


def test_who_bought_lately_is_likelier_to_be_there_than_who_did_not():
    params = (0.243, 4.414, 0.793, 2.426)
    alive = value.predict_alive(
        params, np.array([5.0, 5.0, 0.0]), np.array([38.0, 10.0, 0.0]), np.array([39.0, 39.0, 39.0])
    )
    assert alive[0] > 0.8 > 0.2 > alive[1]
    assert alive[2] == 1.0


def test_parameters_in_steps_say_nearly_the_same(cdnow):
    counts, _ = value.fit_bgnbd(cdnow["repeats"], cdnow["recency"], cdnow["age"])
    rough = value.take_in_steps(counts)
    assert rough == pytest.approx(counts, rel=0.0101)
    people = (cdnow["repeats"], cdnow["recency"], cdnow["age"])
    exact = value.predict_orders(counts, *people, 52.0)
    stepped = value.predict_orders(rough, *people, 52.0)
    assert stepped == pytest.approx(exact, rel=0.02, abs=1e-6)


def test_a_step_hides_small_changes_and_is_never_one():
    params = np.array([0.995, 0.999, 1.0, 1.001, 1.015])
    assert value.take_in_steps(params) == pytest.approx(
        [0.99005, 0.99005, 1.01005, 1.01005, 1.01005], abs=1e-5
    )


def test_the_unit_of_money_changes_nothing_but_the_scale():
    chance = np.random.default_rng(7)
    repeats = chance.integers(1, 8, 300).astype(float)
    spent = chance.gamma(3, 20, 300)
    dollars, _ = value.fit_gamma_gamma(repeats, spent)
    rupees, _ = value.fit_gamma_gamma(repeats, spent * 80)
    assert rupees[:2] == pytest.approx(dollars[:2], rel=1e-4)
    assert rupees[2] == pytest.approx(dollars[2] * 80, rel=1e-4)
