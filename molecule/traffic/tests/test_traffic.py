# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What traffic.yml leaves behind, asked from the API server, from a proxy's own Envoy and from the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.integration.page import versions
from tests.support import kubectl


@pytest.fixture(scope="module")
def routes():
    """The http routes of reviews by name, the default one as ""."""
    found = kubectl("-n", "bookinfo", "get", "virtualservice", "reviews", "-o", "json")["spec"]["http"]
    return {route.get("name", ""): route for route in found}


def weights(route):
    return {entry["destination"]["subset"]: entry.get("weight") for entry in route["route"]}


def test_the_split_and_its_settings(routes):
    assert weights(routes[""]) == {"v1": 50, "v3": 50}
    assert routes[""]["timeout"] == "10s"
    (mirror,) = routes[""]["mirrors"]
    assert (mirror["destination"]["subset"], mirror["percentage"]) == ("v2", {"value": 10})


def test_the_rules_stand_before_the_split_and_inherit_from_it(routes):
    assert list(routes)[-1] == ""
    assert set(routes) == {"", "meshops-jason-sees-v2", "meshops-testers"}
    assert weights(routes["meshops-jason-sees-v2"]) == {"v2": None}
    assert weights(routes["meshops-testers"]) == {"v2": 1, "v3": 1}
    assert all(route["timeout"] == "10s" for route in routes.values())


def test_the_fault_is_there_with_its_end():
    found = kubectl("-n", "bookinfo", "get", "virtualservice", "ratings", "-o", "json")
    assert found["spec"]["http"][0]["fault"] == {"delay": {"fixedDelay": "250ms", "percentage": {"value": 10}}}
    (marks,) = json.loads(found["metadata"]["annotations"]["meshops.istio/marks"]).values()
    assert marks["fault"]["expires"].endswith("Z")


def test_envoy_of_the_page_has_the_split():
    pod = kubectl("-n", "bookinfo", "get", "pods", "-l", "app=productpage", "-o", "json")["items"][0]
    path = "config_dump?resource=dynamic_route_configs"
    argv = ["exec", pod["metadata"]["name"], "-c", "istio-proxy", "--", "pilot-agent", "request", "GET", path]
    dump = kubectl("-n", "bookinfo", *argv)
    tables = [config["route_config"] for config in json.loads(dump)["configs"]]
    routes = [
        route
        for table in tables
        for host in table["virtual_hosts"]
        if host["name"].startswith("reviews.bookinfo")
        for route in host["routes"]
    ]
    seen = [
        {
            cluster["name"].split("|")[2]: cluster["weight"]
            for cluster in route["route"]["weighted_clusters"]["clusters"]
        }
        for route in routes
        if "weighted_clusters" in route["route"]
    ]
    assert {"v1": 50, "v3": 50} in seen


def test_everybody_sees_the_split_and_jason_sees_black_stars():
    assert set(versions()) == {"v1", "v3"}  # that one of the two stays away has a chance of 2^-39
    assert set(versions("somebody")) == {"v1", "v3"}
    assert set(versions("jason")) == {"v2"}
    assert set(versions("test-er")) == {"v2", "v3"}
