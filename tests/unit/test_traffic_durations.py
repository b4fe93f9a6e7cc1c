"""Durations as Istio and Envoy write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("0s", 0), ("5.000s", 5), ("1h30m", 5400), ("250ms", Fraction(1, 4)), (".5s", Fraction(1, 2))],
)
def test_seconds(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1s x", None, 5, "1 s"])
def test_no_seconds(text):
    assert seconds(text) is None
