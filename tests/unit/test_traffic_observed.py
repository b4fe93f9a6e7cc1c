"""Answers judged: the class of an error, the version, and whether a split fits."""

from __future__ import annotations

import json
import math
import random
import time

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.meshops.istio.plugins.module_utils.traffic import observed
from ansible_collections.meshops.istio.plugins.module_utils.traffic.observed import Answer
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import probe


def validated(**options):
    return ArgumentSpecValidator(probe.ARGS, **probe.RULES).validate(options)


URL = "http://shop.example.com/productpage?u=test"
PARAMS = validated(url=URL, requests=40, timeout=5, version_pattern="reviews-(v[0-9]+)").validated_parameters


ENVOY, BEHIND = {"server": "istio-envoy"}, {"server": "istio-envoy", "x-envoy-upstream-service-time": "4"}
CONNECT = b"upstream connect error or disconnect/reset before headers. "


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (200, {}, b"", ""),
        (204, ENVOY, b"", ""),
        # recorded from Envoy 1.40
        (404, ENVOY, b"", "NR"),
        (404, {"server": "envoy"}, b"", "NR"),
        (503, ENVOY, b"", "NC"),
        (500, ENVOY, b"", "NC"),
        (503, ENVOY, b"no healthy upstream", "UH"),
        (503, ENVOY, CONNECT + b"reset reason: remote connection failure", "UF"),
        (503, ENVOY, CONNECT + b"retried and the latest reset reason: remote connection failure", "UF"),
        (503, ENVOY, CONNECT + b"reset reason: connection termination", "UC"),
        (503, {**ENVOY, "x-envoy-overloaded": "true"}, CONNECT + b"reset reason: overflow", "UO"),
        (
            404,
            {**ENVOY, "proxy-status": 'istio-envoy; error=destination_not_found; details="route_not_found; NR"'},
            b"",
            "NR",
        ),
        (500, {**ENVOY, "proxy-status": 'istio-envoy; error=x; details="cluster_not_found; NC"'}, b"a page", "NC"),
        (503, {**ENVOY, "proxy-status": 'istio-envoy; error=x; details="upstream_reset{x}; URX,UF"'}, b"a page", "UF"),
        # from its source
        (503, ENVOY, CONNECT + b"reset reason: connection failure", "UF"),
        (503, ENVOY, CONNECT + b"reset reason: connection timeout", "UF"),
        (
            503,
            BEHIND,  # the sidecar of the pod said it, which to the gateway is an answer from behind
            CONNECT + b"reset reason: local connection failure, transport failure reason: remote reset",
            "UF",
        ),
        (503, ENVOY, CONNECT + b"reset reason: connection_termination", "UC"),
        (503, ENVOY, CONNECT + b"reset reason: remote reset", "UR"),
        (503, ENVOY, CONNECT + b"reset reason: overload manager reset", "HTTP 503"),
        (502, ENVOY, CONNECT + b"reset reason: protocol error", "HTTP 502"),
        # answers of the application, which go through Envoy and get its server header
        (404, BEHIND, b"", "HTTP 404"),
        (503, BEHIND, b"", "HTTP 503"),
        (500, BEHIND, b"", "HTTP 500"),
        (404, ENVOY, b"no such page", "HTTP 404"),
        (404, {"server": "nginx"}, b"", "HTTP 404"),
        (503, {}, b"", "HTTP 503"),
        (200, ENVOY, b"no healthy upstream", ""),
        (500, ENVOY, b"no healthy upstream", "HTTP 500"),
        (503, ENVOY, b"<p>Backend said: no healthy upstream</p>", "HTTP 503"),
        (503, ENVOY, b"<p>" + CONNECT + b"reset reason: overflow", "HTTP 503"),
        (503, BEHIND | {"proxy-status": 'pod; details="x; UC", istio-envoy; details="x; UF"'}, b"", "UC"),
        (503, ENVOY, b"fault filter abort", "HTTP 503"),
        (504, ENVOY, b"upstream request timeout", "HTTP 504"),
        (302, ENVOY, b"", "HTTP 302"),
        (429, ENVOY, b"", "HTTP 429"),
        (503, {**ENVOY, "proxy-status": 'istio-envoy; error=x; details="no_idea"'}, b"\xff\xfe", "HTTP 503"),
    ],
)
def test_classes(status, headers, body, kind):
    assert observed.classify(status, headers, body) == kind


BODY = json.dumps(
    {"podname": "reviews-v2-x", "reviews": [{"version": 3}, {"ok": True}], "0": {"a.b": 1}, "none": None}
).encode()


@pytest.mark.parametrize(
    ("options", "headers", "body", "version"),
    [
        (("reviews-(v[0-9]+)", None, None), {}, b"x reviews-v1 reviews-v2", "v1"),
        (("reviews-(v[0-9]+)?", None, None), {}, b"reviews-", ""),
        (("(v[0-9])", None, None), {"x-version": "v1"}, b"", ""),
        ((None, "X-Version", None), {"x-version": " v2 "}, b"v1", "v2"),
        ((None, "X-Version", None), {"version": "v2"}, b"v1", ""),
        ((None, None, "podname"), {}, BODY, "reviews-v2-x"),
        ((None, None, "reviews.0.version"), {}, BODY, "3"),
        ((None, None, "reviews.1.ok"), {}, BODY, "true"),
        ((None, None, "reviews.2.version"), {}, BODY, ""),
        ((None, None, "reviews.-1.ok"), {}, BODY, ""),
        ((None, None, "reviews.version"), {}, BODY, ""),
        ((None, None, "podname.0"), {}, BODY, ""),
        ((None, None, "reviews"), {}, BODY, ""),
        ((None, None, "none"), {}, BODY, ""),
        ((None, None, "0"), {}, BODY, ""),
        ((None, None, "0"), {}, b'["v7"]', "v7"),
        ((None, None, "podname"), {}, b"<html>", ""),
        ((None, None, "podname"), {}, b"\xff", ""),
        ((None, None, "0"), {}, b"[" * 100_000, ""),
    ],
)
def test_versions_are_found(options, headers, body, version):
    assert observed.version_finder(*options)(headers, body) == version


def test_without_a_version_option_only_the_status_counts():
    assert observed.version_finder(None, "", None) is None
    assert observed.answer(200, {}, b"anything", None, 2.0) == Answer("", "", 2.0)
    assert observed.answer(500, {}, b"v1", None, 2.0) == Answer("", "HTTP 500", 2.0)


@pytest.mark.parametrize("weights", [{"v1": 50, "v3": 50}, {"v1": 8, "v2": 1, "v3": 1}])
def test_the_stated_rate_of_false_alarms_is_kept(weights):
    """700 right runs at a rate that can be seen; below it with 99.99 % of such simulations, and not far below."""
    rng, rate, runs = random.Random(20261126), 0.05, 700
    names, shares = list(weights), list(weights.values())
    answers = {name: Answer(name, "", 1.0) for name in names}
    alarms = 0
    for _run in range(runs):
        seen = [answers[name] for name in rng.choices(names, shares, k=200)]
        result = observed.summary(seen, weights, rate, 95)
        alarms += bool(list(observed.problems(result, PARAMS, weights)))
    assert rate * runs / 3 <= alarms <= rate * runs + 3.8 * math.sqrt(rate * (1 - rate) * runs)


def test_10000_answers_are_judged_quickly():
    rng = random.Random(7)
    seen = [Answer(name, "", rng.random()) for name in rng.choices(["v1", "v2", "v3"], [90, 9, 1], k=10_000)]
    started = time.process_time()
    result = observed.summary(seen, {"v1": 90, "v2": 9, "v3": 1}, 1e-4, 95)
    assert time.process_time() - started < 2
    assert result["split"]["compatible"]
    for version, share in {"v1": 90, "v2": 9, "v3": 1}.items():
        low, high = result["versions"][version]["interval"]
        assert low < share < high < low + 1.3
