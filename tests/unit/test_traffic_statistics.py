"""The split test raises no false alarm and finds real deviations."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.traffic import statistics


@pytest.mark.parametrize(
    ("successes", "number", "probability", "expected"),
    [
        (5, 10, 0.5, 1.0),
        (0, 10, 0.5, 2 / 1024),
        (10, 10, 0.5, 2 / 1024),
        (1, 10, 0.5, 22 / 1024),
        (0, 3, 0.25, 1.0),  # as likely as 1 of 3: 27/64 each
        (2, 3, 0.25, 10 / 64),
        (0, 5, 0.0, 1.0),
        (1, 5, 0.0, 0.0),
        (5, 5, 1.0, 1.0),
        (4, 5, 1.0, 0.0),
    ],
)
def test_binomial_p_value(successes, number, probability, expected):
    assert statistics.binomial_p_value(successes, number, probability) == pytest.approx(expected, abs=1e-9)


def test_binomial_p_value_of_a_long_run_is_finite():
    assert statistics.binomial_p_value(50_000, 100_000, 0.5) == pytest.approx(1.0, abs=1e-6)
    assert 0 < statistics.binomial_p_value(50_500, 100_000, 0.5) < 0.01


@pytest.mark.parametrize(
    ("counts", "weights", "compatible"),
    [
        ({"v1": 100, "v3": 100}, {"v1": 50, "v3": 50}, True),
        ({"v1": 99, "v3": 101}, {"v1": 1, "v3": 1}, True),
        ({"v1": 144, "v3": 56}, {"v1": 75, "v3": 25}, True),
        ({"v1": 200}, {"v1": 50, "v3": 50}, False),
        ({"v1": 140, "v3": 60}, {"v1": 50, "v3": 50}, False),
        ({"v1": 200}, {"v1": 1, "v3": 0}, True),
        ({"v1": 199, "v3": 1}, {"v1": 1, "v3": 0}, False),
        ({"v1": 100, "v2": 1, "v3": 99}, {"v1": 1, "v3": 1}, False),
        ({"v1": 198, "v2": 2}, {"v1": 99, "v2": 1}, True),
        ({"v1": 180, "v2": 20}, {"v1": 99, "v2": 1}, False),
        ({"v1": 70, "v2": 60, "v3": 70}, {"v1": 1, "v2": 1, "v3": 1}, True),
        ({"v1": 100, "v2": 100, "v3": 0}, {"v1": 1, "v2": 1, "v3": 1}, False),
        ({}, {"v1": 1}, False),
    ],
)
def test_judge_split(counts, weights, compatible):
    verdict = statistics.judge_split(counts, weights)
    assert verdict.compatible is compatible
    assert bool(verdict.reason) is not compatible


@pytest.mark.parametrize("weights", [{"v1": 50, "v3": 50}, {"v1": 9, "v2": 1}, {"v1": 1, "v2": 2, "v3": 3}])
def test_the_rate_of_false_alarms_is_kept(weights):
    """2000 right runs each, at a rate that can be seen; 99.99 % of such simulations stay below the bound."""
    rng, rate, runs = random.Random(20260101), 0.05, 2000
    alarms = sum(not statistics.judge_split(draw(rng, weights, 100), weights, rate).compatible for dummy in range(runs))
    assert alarms <= rate * runs + 3.8 * math.sqrt(rate * (1 - rate) * runs)


@pytest.mark.parametrize("number", [1, 10, 200, 1000])
@pytest.mark.parametrize("weights", [{"v1": 50, "v3": 50}, {"v1": 3, "v3": 1}, {"v1": 99, "v3": 1}])
def test_the_false_alarm_rate_in_use_is_exact(number, weights):
    """Summed over every possible outcome, not simulated."""
    share = weights["v1"] / sum(weights.values())
    rejected = [
        math.comb(number, k) * share**k * (1 - share) ** (number - k)
        for k in range(number + 1)
        if not statistics.judge_split({"v1": k, "v3": number - k}, weights).compatible
    ]
    assert sum(rejected) <= statistics.FALSE_ALARM
    assert rejected or number < 200


@pytest.mark.parametrize(
    ("real", "wanted", "number"),
    [({"v1": 75, "v3": 25}, {"v1": 1, "v3": 1}, 200), ({"v1": 9, "v2": 1}, {"v1": 99, "v2": 1}, 300)],
)
def test_a_wrong_split_is_found(real, wanted, number):
    rng = random.Random(11)
    found = sum(not statistics.judge_split(draw(rng, real, number), wanted).compatible for dummy in range(300))
    assert found >= 270


@pytest.mark.parametrize(
    ("successes", "number", "confidence", "low", "high"),
    [
        (5, 20, 0.95, 0.086571, 0.491046),
        (10, 100, 0.95, 0.049005, 0.176223),
        (1, 10, 0.95, 0.002529, 0.445016),
        (5, 10, 0.95, 0.187086, 0.812914),
        # closed forms for none and all
        (0, 10, 0.95, 0.0, 1 - 0.025 ** (1 / 10)),
        (0, 10_000, 0.95, 0.0, 1 - 0.025 ** (1 / 10_000)),
        (10_000, 10_000, 0.95, 0.025 ** (1 / 10_000), 1.0),
        (1, 1, 0.9, 0.05, 1.0),
        (0, 0, 0.95, 0.0, 1.0),
    ],
)
def test_clopper_pearson(successes, number, confidence, low, high):
    found = statistics.clopper_pearson(successes, number, confidence)
    assert found == pytest.approx((low, high), abs=1e-6)
    mirrored = statistics.clopper_pearson(number - successes, number, confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@pytest.mark.parametrize(("successes", "number"), [(1, 10_000), (77, 10_000), (5000, 10_000), (9990, 10_000), (3, 37)])
@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.95, 0.9999])
def test_the_bounds_are_where_the_tails_have_their_share(successes, number, confidence):
    """By sums without logarithms, which is an independent way to the same tails."""
    low, high = statistics.clopper_pearson(successes, number, confidence)
    assert 0 < low < successes / number < high < 1
    assert tail(number, low, range(successes, number + 1)) == pytest.approx((1 - confidence) / 2, rel=1e-6)
    assert tail(number, high, range(successes + 1)) == pytest.approx((1 - confidence) / 2, rel=1e-6)


def tail(number, share, outcomes):
    """The distribution from its mode to both sides, normalised by its own sum."""
    mode, odds = int((number + 1) * share), share / (1 - share)
    weights = {mode: 1.0}
    for k in range(mode, number):
        weights[k + 1] = weights[k] * odds * (number - k) / (k + 1)
    for k in range(mode, 0, -1):
        weights[k - 1] = weights[k] / odds * k / (number - k + 1)
    return math.fsum(weights[k] for k in outcomes) / math.fsum(weights.values())


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_the_interval_covers_the_share_often_enough(share):
    """Summed over every possible outcome, not simulated."""
    number, covered = 150, 0.0
    for k in range(number + 1):
        low, high = statistics.clopper_pearson(k, number)
        covered += math.comb(number, k) * share**k * (1 - share) ** (number - k) * (low <= share <= high)
    assert 0.95 <= covered < 0.9999


def draw(rng, weights, number):
    return Counter(rng.choices(list(weights), list(weights.values()), k=number))


def test_percent_and_percentiles():
    assert statistics.percent(1, 3) == 33.33
    assert statistics.percent(0, 0) == 0.0
    values = list(range(1, 101))
    assert [statistics.percentile(values, wanted) for wanted in (1, 50, 90, 99, 100)] == [1, 50, 90, 99, 100]
    assert statistics.percentile([], 50) == 0.0
    assert statistics.percentile([7.0], 50) == 7.0
