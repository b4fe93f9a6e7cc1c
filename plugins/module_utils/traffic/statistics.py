# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: is this observed split the wanted one? Pure, exact, no libraries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FALSE_ALARM = 1e-4  # a right split is called wrong at most once in 10,000 tests


@dataclass(frozen=True)
class Verdict:
    """`p_value`: how often a right split looks at least this wrong, at most; `reason` is "" when compatible."""

    compatible: bool
    p_value: float
    reason: str


def judge_split(counts: Mapping[str, int], weights: Mapping[str, int], false_alarm: float = FALSE_ALARM) -> Verdict:
    """Tell whether the counted versions can come from independent choices with these weights (not all zero).

    One exact two-sided binomial test for each version; the smallest p-value times their number (Bonferroni) bounds
    the rate of false alarms for any number of requests. With two versions both tests are the same one.
    A version without weight must not be seen at all.
    """
    number, total = sum(counts.values()), sum(weights.values())
    if not number:
        return Verdict(False, 0.0, "no request was answered by a known version")
    for version in sorted(counts):
        if counts[version] and not weights.get(version):
            return Verdict(False, 0.0, f"{version} answered {counts[version]} of {number} although its share is 0 %")
    # a lone version has every request, as the others have none
    positive = sorted(version for version, weight in weights.items() if weight)
    tested = positive if len(positive) > 2 else positive[:1]
    p_values = {
        version: binomial_p_value(counts.get(version, 0), number, weights[version] / total) for version in tested
    }
    worst = min(tested, key=lambda version: p_values[version])
    p_value = min(1.0, p_values[worst] * len(tested))
    if p_value >= false_alarm:
        return Verdict(True, p_value, "")
    seen, share = counts.get(worst, 0), weights[worst] / total
    reason = f"{worst} answered {seen} of {number} ({percent(seen, number):g} %) instead of {100 * share:g} %"
    return Verdict(False, p_value, reason)


def binomial_p_value(successes: int, number: int, probability: float) -> float:
    """Return the exact two-sided p-value: the probability of all outcomes no likelier than the observed one."""
    if probability <= 0 or probability >= 1:
        return float(successes == number * (probability >= 1))
    log_p, log_q = math.log(probability), math.log1p(-probability)
    log_n = math.lgamma(number + 1)

    def log_likelihood(k: int) -> float:
        return log_n - math.lgamma(k + 1) - math.lgamma(number - k + 1) + k * log_p + (number - k) * log_q

    # the slack keeps the mirrored outcome in when rounding makes it look a little likelier
    limit = log_likelihood(successes) + 1e-7
    return min(1.0, math.fsum(math.exp(value) for k in range(number + 1) if (value := log_likelihood(k)) <= limit))


def clopper_pearson(successes: int, number: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share of which successes of number were seen; (0, 1) when nothing was."""
    tail = (1 - confidence) / 2
    seen = successes / number if number else 0.0
    low = _bisect(lambda p: _at_least(successes, number, p) < tail, 0.0, seen) if successes else 0.0
    # at most k successes with p are at least n - k failures with 1 - p
    high = _bisect(lambda p: _at_least(number - successes, number, 1 - p) >= tail, seen, 1.0)
    return low, high if successes < number else 1.0


def _bisect(below: Callable[[float], bool], low: float, high: float) -> float:
    for _step in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def _at_least(successes: int, number: int, probability: float) -> float:
    """Return the probability of so many successes or more, which are not fewer than expected."""
    if probability <= 0 or probability >= 1:
        return float(probability >= 1 or successes <= 0)
    term = math.exp(
        math.lgamma(number + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(number - successes + 1)
        + successes * math.log(probability)
        + (number - successes) * math.log1p(-probability)
    )
    total, odds = 0.0, probability / (1 - probability)
    # the terms fall from here on, and what follows a negligible one is negligible too
    for k in range(successes, number + 1):
        total += term
        if term < total * 1e-17:
            break
        term *= odds * (number - k) / (k + 1)
    return total


def percent(part: int, whole: int) -> float:
    """Return part of whole in percent, two decimals; 0 of 0 is 0."""
    return round(100 * part / whole, 2) if whole else 0.0


def percentile(values: Sequence[float], wanted: float) -> float:
    """Return the nearest-rank percentile (0 < wanted <= 100) of the values, 0 when there are none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * wanted / 100) - 1)]
