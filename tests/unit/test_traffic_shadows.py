"""What is edited has to have an effect: no other object takes its requests, and its root lets it have them."""

from __future__ import annotations

import pytest
from traffic_objects import to, vs

from ansible_collections.meshops.istio.plugins.module_utils.traffic import shadows

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
PLAIN = {"route": [to("v1")]}
NARROW = {"match": [{"uri": {"prefix": "/x"}}], "route": [to("v1")]}


def problem(obj, *others):
    return shadows.problem(obj, [obj, *others], "cluster.local")


@pytest.mark.parametrize(
    ("mine", "other", "shadowed"),
    [
        ({"created": NEW}, {"created": OLD}, True),
        ({"created": OLD}, {"created": NEW}, False),
        # one that is about to be created is the youngest
        ({}, {"created": NEW}, True),
        ({"created": OLD}, {}, False),
        # of the same second: by name
        ({"name": "b", "created": OLD}, {"name": "a", "created": OLD}, True),
        ({"name": "a", "created": OLD}, {"name": "b", "created": OLD}, False),
        # of another host, or of a host that only looks the same
        ({"created": NEW}, {"created": OLD, "hosts": ["ratings"]}, False),
        ({"created": NEW}, {"created": OLD, "namespace": "other"}, False),
        (
            {"created": NEW},
            {"created": OLD, "namespace": "other", "hosts": ["reviews.bookinfo.svc.cluster.local"]},
            True,
        ),
        # not seen by the proxies of this namespace
        (
            {"created": NEW},
            {
                "created": OLD,
                "namespace": "other",
                "hosts": ["reviews.bookinfo.svc.cluster.local"],
                "exportTo": ["."],
            },
            False,
        ),
        ({"created": NEW}, {"created": OLD, "hosts": ["ratings", "reviews"]}, True),
    ],
)
def test_sidecars_take_the_routes_of_the_oldest_object_of_a_host(mine, other, shadowed):
    obj = vs(PLAIN, **{"name": "mine", **mine})
    found = problem(obj, vs(PLAIN, **{"name": "zz", **other}))
    assert bool(found) == shadowed
    if shadowed:
        first = f"{other.get('namespace', 'bookinfo')}/{other.get('name', 'zz')}"
        assert found == (
            f"VirtualService {first} has the same host and is older than bookinfo/{mine.get('name', 'mine')}, so that"
            f" Istio takes its routes. Set virtual_service to {first}, or take the host from one of the two."
        )


def test_the_oldest_of_several_is_named():
    others = [vs(PLAIN, name=name, created=f"2026-01-0{day}T00:00:00Z") for name, day in (("b", 2), ("c", 1), ("d", 3))]
    assert "VirtualService bookinfo/c has the same host" in problem(vs(PLAIN, created=NEW), *others)


def test_a_narrow_route_of_an_older_object_shadows_for_sidecars_all_the_same():
    assert problem(vs(PLAIN, name="mine", created=NEW), vs(NARROW, name="old", created=OLD))


@pytest.mark.parametrize(
    ("mine", "other", "route", "shadowed"),
    [
        # a gateway takes the routes of both, the older ones first
        (["g"], ["g"], PLAIN, True),
        (["g"], ["g"], {"match": [{"uri": {"prefix": "/"}}], "route": [to("v1")]}, True),
        (["g"], ["g"], NARROW, False),
        (["g"], ["bookinfo/g"], PLAIN, True),
        (["g"], ["other/g"], PLAIN, False),
        (["g"], ["mesh"], PLAIN, False),
        (["g"], None, PLAIN, False),
        (None, ["g"], PLAIN, False),
        (["g", "mesh"], ["mesh"], NARROW, True),
        (["g", "mesh"], ["g"], NARROW, False),
    ],
)
def test_gateways(mine, other, route, shadowed):
    def made(name, created, gateways, http):
        return vs(http, name=name, created=created, **({"gateways": gateways} if gateways else {}))

    assert bool(problem(made("mine", NEW, mine, PLAIN), made("old", OLD, other, route))) == shadowed
    assert problem(made("mine", OLD, mine, PLAIN), made("young", NEW, other, route)) == ""


def delegated(part_match, root_match, root_of="part"):
    part = vs({**PLAIN, **({"match": [part_match]} if part_match else {})}, name="part")
    del part["spec"]["hosts"]
    root = vs({"delegate": {"name": root_of}, **({"match": [root_match]} if root_match else {})}, name="root")
    return part, root


@pytest.mark.parametrize(
    ("part", "root", "works"),
    [
        (None, None, True),
        (None, {"uri": {"prefix": "/a"}}, True),
        ({"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a"}}, True),
        ({"uri": {"exact": "/a"}}, None, True),
        ({"uri": {"prefix": "/b"}}, {"uri": {"prefix": "/a"}}, False),
        ({"uri": {"regex": "/a.*"}}, {"uri": {"prefix": "/a"}}, False),
        ({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": {"exact": "2"}}}, False),
    ],
)
def test_the_match_of_a_delegate_is_within_that_of_its_root(part, root, works):
    obj, other = delegated(part, root)
    found = problem(obj, other)
    expected = (
        "http[0] of VirtualService bookinfo/part is not in force: its match is not within http[0] of bookinfo/root,"
        " which delegates to it. Correct the match of one of the two."
    )
    assert found == ("" if works else expected)


def test_a_delegate_that_nobody_uses_and_one_of_another_root_are_left_alone():
    obj, other = delegated({"uri": {"prefix": "/b"}}, {"uri": {"prefix": "/a"}}, root_of="another")
    assert problem(obj, other) == ""
    # the root is told nothing about its delegates
    assert problem(other, obj) == ""


def test_an_object_of_the_gateway_api_is_neither_shadowed_nor_in_the_way():
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": {}}
    assert problem(route, vs(PLAIN, created=OLD)) == ""
    assert problem(vs(PLAIN, created=NEW), {**route, "spec": {"hosts": ["reviews"]}}) == ""
