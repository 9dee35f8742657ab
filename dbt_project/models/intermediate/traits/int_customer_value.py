"""What a customer is likely to do and be worth in the coming year: BG/NBD for how often, Gamma-Gamma for how much.

Fader, Hardie and Lee, "Counting Your Customers the Easy Way" (Marketing Science 2005), and Fader and Hardie, "The
Gamma-Gamma Model of Monetary Value" (2013). Fitted again when an order differs, to everybody who completed an order or,
where that is a crowd, to a sample that stays the same; a company with too few repeat customers gets no numbers rather
than wild ones. What a day began with counts, so that its runs say the same; what comes late moves whom it is about, and
hardly ever the parameters, which are taken in steps (`take_in_steps`).
"""

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

WEEK_DAYS = 7.0
LOG_STEP = 0.02
"""Parameters are taken in steps of this size, as logs: a thousand repeat customers leave far more open."""


def bgnbd_log_likelihood(log_params, repeats, recency, age, weight):
    """Return the log likelihood of (r, alpha, a, b), given as logs.

    Args:
        log_params: natural logs of the four parameters.
        repeats: orders after the first, each customer.
        recency: weeks from the first order to the last.
        age: weeks from the first order to now.
        weight: customers with these numbers.
    """
    r, alpha, a, b = np.exp(log_params)
    shared = (
        gammaln(r + repeats)
        - gammaln(r)
        + r * np.log(alpha)
        + betaln(a, b + repeats)
        - betaln(a, b)
    )
    alive = -(r + repeats) * np.log(alpha + age)
    # after a purchase the customer may have left; who bought once only is alive by definition of the model
    left = np.where(
        repeats > 0,
        np.log(a)
        - np.log(b + np.maximum(repeats, 1) - 1)
        - (r + repeats) * np.log(alpha + recency),
        -np.inf,
    )
    return float(np.sum(weight * (shared + np.logaddexp(alive, left))))


def gamma_gamma_log_likelihood(log_params, repeats, mean_value, weight):
    """Return the log likelihood of (p, q, v), given as logs, over customers with repeat orders.

    Args:
        log_params: natural logs of the three parameters.
        repeats: orders after the first, at least one.
        mean_value: mean value of those orders, above zero.
        weight: customers with these numbers.
    """
    p, q, v = np.exp(log_params)
    return float(
        np.sum(
            weight
            * (
                gammaln(p * repeats + q)
                - gammaln(p * repeats)
                - gammaln(q)
                + q * np.log(v)
                + (p * repeats - 1) * np.log(mean_value)
                + p * repeats * np.log(repeats)
                - (p * repeats + q) * np.log(v + repeats * mean_value)
            )
        )
    )


def _maximise(log_likelihood, start, *data):
    """Return the parameters that maximise a log likelihood, and its value there.

    The last of `data` is the weights: the mean is what is maximised, so that one tolerance fits any number of people.
    """
    total = data[-1].sum()

    def cost(params):
        return -log_likelihood(params, *data) / total

    # Numerical gradients, no formula to get wrong; a fifth of the evaluations a simplex takes for the same digits.
    found = minimize(cost, np.log(start), method="BFGS", jac="3-point", options={"gtol": 1e-8})
    return np.exp(found.x), -float(found.fun) * total


def fit_bgnbd(repeats, recency, age):
    """Return ((r, alpha, a, b), log likelihood) for one row a customer."""
    rows, weight = np.unique(np.column_stack([repeats, recency, age]), axis=0, return_counts=True)
    return _maximise(bgnbd_log_likelihood, np.array([1.0, 5.0, 1.0, 2.0]), *rows.T, weight)


def fit_gamma_gamma(repeats, mean_value):
    """Return ((p, q, v), log likelihood) for one row a customer with repeat orders."""
    # in units of the typical value, so that the start fits dollars and rupees alike
    unit = float(np.median(mean_value))
    (p, q, v), likelihood = _maximise(
        gamma_gamma_log_likelihood,
        np.array([5.0, 4.0, 3.0]),
        repeats,
        mean_value / unit,
        np.ones(len(repeats)),
    )
    return np.array([p, q, v * unit]), likelihood - len(repeats) * np.log(unit)


def predict_alive(params, repeats, recency, age):
    """Return the probability that each customer is still one."""
    r, alpha, a, b = params
    odds = (
        a / (b + np.maximum(repeats, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + repeats)
    )
    return np.where(repeats > 0, 1 / (1 + odds), 1.0)


def predict_orders(params, repeats, recency, age, weeks):
    """Return the orders expected of each customer in the next `weeks`."""
    r, alpha, a, b = params
    shape = r + repeats
    growth = hyp2f1(shape, b + repeats, a + b + repeats - 1, weeks / (alpha + age + weeks))
    expected = (
        (a + b + repeats - 1)
        / (a - 1)
        * (1 - ((alpha + age) / (alpha + age + weeks)) ** shape * growth)
    )
    return expected * predict_alive(params, repeats, recency, age)


def predict_order_value(params, repeats, mean_value):
    """Return the expected value of an order of each customer; the population's mean for who has no repeat order."""
    p, q, v = params
    return p * (v + repeats * np.where(repeats > 0, mean_value, 0)) / (p * repeats + q - 1)


def take_in_steps(params):
    """Return the parameters LOG_STEP apart that are nearest, so that an order more or less hardly ever moves everybody.

    A step lies around its middle: no parameter is exactly 1, where `predict_orders` would divide by nothing.
    """
    return np.exp((np.floor(np.log(params) / LOG_STEP) + 0.5) * LOG_STEP)


def model(dbt, session):
    """Return one row a customer with a completed order and its projection: see the column descriptions."""
    dbt.config(materialized="table")
    history = dbt.ref("int_order_history")
    horizon, least, most, is_settled = (
        dbt.ref("int_value_limits")
        .project("horizon_days, least_repeat_customers, sample_customers, is_settled")
        .fetchone()
    )
    if is_settled:
        return session.sql(f"select * from {dbt.this}")
    # in one order: the same people in another would give other last digits
    orders = history.order("customer_id").fetchnumpy()
    repeats, value = orders["repeats"].astype(float), orders["mean_repeat_value"].astype(float)
    recency = orders["recency_days"] / WEEK_DAYS
    age = orders["age_days"] / WEEK_DAYS
    again = (repeats > 0) & (value > 0)
    columns = {"customer_id": pa.array(orders["customer_id"].tolist(), pa.string())}
    if int(again.sum()) < least:
        blank = pa.nulls(len(repeats), pa.float64())
        return pa.table(
            columns
            | dict.fromkeys(("probability_alive", "expected_orders", "expected_value"), blank)
        )
    taken = np.asarray(orders["sample_rank"]) <= most
    counts, _ = fit_bgnbd(repeats[taken], recency[taken], age[taken])
    spend, _ = fit_gamma_gamma(repeats[again & taken], value[again & taken])
    counts, spend = take_in_steps(counts), take_in_steps(spend)
    expected = predict_orders(counts, repeats, recency, age, horizon / WEEK_DAYS)
    return pa.table(
        columns
        | {
            "probability_alive": predict_alive(counts, repeats, recency, age),
            "expected_orders": expected,
            "expected_value": expected
            * predict_order_value(spend, np.where(again, repeats, 0), value),
        }
    )
