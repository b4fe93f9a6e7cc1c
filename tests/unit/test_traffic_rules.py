"""A rule stands where it is reached and takes no other rule's requests; without it everything is as before."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, matches, regexes, rules
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule

REVIEWS = Service("reviews", "bookinfo")
V1, V2, V3 = (Destination(REVIEWS.fqdn, subset) for subset in ("v1", "v2", "v3"))
JASON = {"headers": {"end-user": {"exact": "jason"}}}


def to(**weights):
    return [
        {"destination": {"host": "reviews", "subset": subset}, **({} if weight is None else {"weight": weight})}
        for subset, weight in weights.items()
    ]


def vs(*http, **spec):
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    return {"kind": "VirtualService", "metadata": metadata, "spec": {"hosts": ["reviews"], "http": list(http), **spec}}


def named(obj):
    return [route.get("name") for route in obj["spec"]["http"]]


def jason(destinations=None, **place):
    return Rule("jason", JASON, {V2: 1} if destinations is None else destinations, **place)


def test_jason_sees_v2_and_everybody_else_the_split():
    obj = vs({"route": to(v1=50, v3=50)})
    after = rules.set_rule(obj, 0, REVIEWS, jason())
    assert after == vs({"name": "meshops-jason", "match": [JASON], "route": to(v2=None)}, {"route": to(v1=50, v3=50)})
    assert rules.set_rule(after, 1, REVIEWS, jason()) is after
    assert rules.remove_rule(after, "jason") == obj
    assert rules.names(after) == ["jason"]
    assert rules.remove_rule(obj, "jason") is obj


def test_header_and_weights_together():
    after = rules.set_rule(vs({"route": to(v1=1)}), 0, REVIEWS, jason({V1: 1, V2: 3}))
    assert after["spec"]["http"][0]["route"] == to(v1=1, v2=3)
    same = rules.set_rule(after, 1, REVIEWS, jason({V1: 25, V2: 75}))
    assert same is after
    moved = rules.set_rule(after, 1, REVIEWS, jason({V3: 1}))
    assert moved["spec"]["http"][0]["route"] == to(v1=0, v2=0, v3=1)


def test_what_is_not_named_is_inherited():
    base = {
        "match": [{"uri": {"prefix": "/r"}, "gateways": ["mesh"], "name": "m"}, {"headers": {"x": {"exact": "y"}}}],
        "route": [{**to(v2=10)[0], "headers": {"request": {"set": {"a": "b"}}}}, *to(v1=90)],
        "rewrite": {"uri": "/"},
        "timeout": "0.500s",
        "retries": {"attempts": 1},
        "corsPolicy": {},
        "mirrors": [],
        "xNew": None,
        "fault": {"abort": {"httpStatus": 500}},
        "name": "base",
    }
    made = rules.set_rule(vs(base), 0, REVIEWS, jason())["spec"]["http"][0]
    assert made["match"] == [
        {"uri": {"prefix": "/r"}, "gateways": ["mesh"], **JASON},
        {"headers": {"x": {"exact": "y"}, "end-user": {"exact": "jason"}}},
    ]
    assert made["route"] == [{**to(v2=None)[0], "headers": {"request": {"set": {"a": "b"}}}}]
    assert set(base) - set(made) == {"fault"}
    assert all(made[key] == base[key] for key in ("rewrite", "timeout", "retries", "corsPolicy", "mirrors", "xNew"))


def test_without_destination_the_split_of_the_base_is_followed():
    rule = Rule("jason", JASON)
    obj = rules.set_rule(vs({"route": to(v1=1, v2=1)}), 0, REVIEWS, rule)
    assert obj["spec"]["http"][0]["route"] == to(v1=1, v2=1)
    moved = edit.set_weights(obj, [1], REVIEWS, {V1: 1, V2: 3})
    followed = rules.set_rule(moved, 1, REVIEWS, rule)
    assert followed["spec"]["http"][0]["route"] == to(v1=1, v2=3)
    assert rules.set_rule(followed, 1, REVIEWS, rule) is followed


def test_what_others_wrote_to_the_rule_stays():
    obj = rules.set_rule(vs({"route": to(v1=1)}), 0, REVIEWS, jason())
    obj["spec"]["http"][0]["timeout"] = "3s"
    assert rules.set_rule(obj, 1, REVIEWS, jason()) is obj
    other = rules.set_rule(obj, 1, REVIEWS, Rule("jason", {"headers": {"end-user": {"exact": "ann"}}}, {V2: 1}))
    assert other["spec"]["http"][0]["timeout"] == "3s"
    assert other["spec"]["http"][0]["match"] == [{"headers": {"end-user": {"exact": "ann"}}}]


A = {"name": "a", "match": [{"headers": {"x": {"exact": "1"}}}], "route": to(v3=None)}
A_AND_JASON = {"name": "aj", "match": [{"headers": {"x": {"exact": "1"}, "end-user": {"exact": "jason"}}}]}
JA = {"name": "ja", "match": [{"headers": {"end-user": {"prefix": "ja"}}}], "route": to(v3=None)}
BASE = {"name": "base", "route": to(v1=None)}


@pytest.mark.parametrize(
    ("others", "place", "order"),
    [
        ([], {}, ["meshops-jason", "base"]),
        # as narrow as another one: behind it
        ([A], {}, ["a", "meshops-jason", "base"]),
        ([A], {"before": "a"}, ["meshops-jason", "a", "base"]),
        ([A], {"after": "a"}, ["a", "meshops-jason", "base"]),
        # a wider one would take its requests
        ([JA], {}, ["meshops-jason", "ja", "base"]),
        ([A_AND_JASON, JA], {}, ["aj", "meshops-jason", "ja", "base"]),
        ([A_AND_JASON, JA], {"before": "ja"}, ["aj", "meshops-jason", "ja", "base"]),
    ],
)
def test_the_place_of_a_rule(others, place, order):
    obj = vs(*others, BASE)
    after = rules.set_rule(obj, len(others), REVIEWS, jason(**place))
    assert named(after) == order
    index = order.index("base")
    assert rules.set_rule(after, index, REVIEWS, jason(**place)) is after
    assert rules.remove_rule(after, "jason") == obj


def test_an_existing_rule_moves_when_it_is_asked_to():
    obj = rules.set_rule(vs(A, BASE), 1, REVIEWS, jason())
    moved = rules.set_rule(obj, 2, REVIEWS, jason(before="a"))
    assert named(moved) == ["meshops-jason", "a", "base"]
    assert named(rules.set_rule(moved, 2, REVIEWS, jason(after="a"))) == ["a", "meshops-jason", "base"]


@pytest.mark.parametrize(
    ("others", "rule", "word"),
    [
        ([JA], jason(after="ja"), "would never be reached behind ja of VirtualService bookinfo/reviews"),
        ([JA], jason(after="base"), "never be reached behind ja"),
        ([A_AND_JASON], jason(before="aj"), "would take all requests of aj"),
        ([{**A, "match": [JASON]}], jason(), "would take all requests of a "),
        ([A], jason(before="nope"), "has no routes nope (names: a, base). Correct before"),
        ([A, A], jason(after="a"), "has several routes a"),
        ([], Rule("Jason!", JASON, {V2: 1}), "not of small letters"),
        ([], Rule("all", {"uri": {"prefix": "/"}}, {V2: 1}), "would take all requests of base"),
    ],
)
def test_a_place_that_cannot_be_is_refused(others, rule, word):
    obj = vs(*others, BASE)
    with pytest.raises(MeshopsError) as refusal:
        rules.set_rule(obj, len(others), REVIEWS, rule)
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("base", "word"),
    [
        ({"redirect": {"uri": "/"}}, "http[0] of VirtualService bookinfo/reviews is a redirect"),
        ({"delegate": {"name": "x"}}, "is a delegate"),
        ({"name": "meshops-jason", "route": to(v1=1)}, "is the rule jason itself"),
    ],
)
def test_a_base_that_cannot_be_is_refused(base, word):
    with pytest.raises(MeshopsError) as refusal:
        rules.set_rule(vs(base), 0, REVIEWS, jason())
    assert word in str(refusal.value)


def test_a_gateway_api_route_is_refused_and_a_double_too():
    with pytest.raises(MeshopsError, match="HTTPRoute bookinfo/reviews orders its rules by itself"):
        rules.set_rule({**vs(), "kind": "HTTPRoute"}, 0, REVIEWS, jason())
    with pytest.raises(MeshopsError, match="has 2 routes with the name meshops-jason"):
        rules.remove_rule(vs({"name": "meshops-jason"}, {"name": "meshops-jason"}), "jason")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"headers": {"a": "b"}}, {"headers": {"a": {"exact": "b"}}}),
        ({"headers": {"a": {"present": True}}, "uri": None}, {"headers": {"a": {}}}),
        (
            {"uri": {"prefix": "/x", "exact": None}, "method": "GET"},
            {"uri": {"prefix": "/x"}, "method": {"exact": "GET"}},
        ),
        ({"queryParams": {"a": {"regex": "x+"}}}, {"queryParams": {"a": {"regex": "x+"}}}),
        ({"sourceLabels": {"app": "x"}, "headers": {}}, {"sourceLabels": {"app": "x"}}),
    ],
)
def test_parse_conditions(fields, expected):
    assert matches.parse(fields) == expected


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "has no condition"),
        ({"ignoreUriCase": True}, "has no condition"),
        ({"headers": {"end-user": None}}, "headers.end-user needs one of exact"),
        ({"headers": {"end-user": {}}}, "needs one of exact"),
        ({"headers": {"end-user": {"exact": ""}}}, "headers.end-user has no value"),
        ({"headers": {"end-user": ""}}, "has no value"),
        ({"uri": {"exact": "/a", "prefix": "/"}}, "uri needs one of exact"),
        ({"uri": {"regex": "(?=x)"}}, "looking ahead"),
        ({"uri": {"regex": "("}}, "does not compile"),
        ({"uri": {"exact": 5}}, "has no value"),
        ({"uri": {"suffix": "x"}}, "needs one of exact"),
    ],
)
def test_conditions_that_cannot_be_are_refused(fields, word):
    with pytest.raises(MeshopsError) as refusal:
        matches.parse(fields)
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    "pattern",
    [
        *("a+", "(?i)x", r"\pL+", r"\p{Greek}", "[[:alpha:]]+", "(?P<n>a)", "(?<n>a)", "^(?:a|b)$", r"\Qa(\E"),
        *(r"a\z", "[(?=]", "a{2,3}", "(?i:a)b", r"\(\?=a", "a{1000}"),
    ],
)
def test_regular_expressions_of_envoy(pattern):
    assert regexes.problem(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    ["(", "[a", "a{1001}", "(?=a)", r"(a)\1", "a++", "(?>a)", "a{2}+", "*a", "(?P=n)", "(?<=a)b", "a{3,2}", "(?(1)a)"],
)
def test_no_regular_expressions_of_envoy(pattern):
    assert regexes.problem(pattern)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ({}, JASON, True),
        (JASON, {}, False),
        ({"headers": {"end-user": {}}}, JASON, True),
        ({"headers": {"end-user": {"prefix": "j"}}}, JASON, True),
        ({"headers": {"end-user": {"regex": "j.*"}}}, JASON, False),
        ({"uri": {"prefix": "/"}}, {"uri": {"regex": "x"}}, True),
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a/b"}}, True),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/A"}, "ignoreUriCase": True}, False),
        ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"uri": {"exact": "/a"}}, True),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, False),
        ({"withoutHeaders": {"a": {}}}, {"withoutHeaders": {"a": {}}, **JASON}, True),
        ({"withoutHeaders": {"a": {}}}, JASON, False),
        ({"gateways": ["mesh"]}, JASON, False),
        ({"gateways": ["mesh", "gw"]}, JASON, True),
        (JASON, {"gateways": ["mesh"], **JASON}, True),
        ({"sourceLabels": {"a": "b"}}, {"sourceLabels": {"a": "b", "c": "d"}}, True),
        ({"sourceLabels": {"a": "b"}}, {"gateways": ["mesh"], "sourceLabels": {"a": "b"}}, False),
        ({"gateways": ["mesh", "gw"], "sourceLabels": {"a": "b"}}, {}, True),
        ({"port": 80}, {}, False),
        ({"sourceNamespace": "a"}, {"sourceNamespace": "b"}, False),
        ({"xNew": 1}, {}, False),
        ({"xNew": 1}, {"xNew": 1, **JASON}, True),
    ],
)
def test_covers(wide, narrow, expected):
    assert matches.covers(wide, narrow, ["mesh", "gw"]) is expected


# --- properties ---------------------------------------------------------------------------------------------------

values = st.sampled_from([{"exact": "a"}, {"exact": "ab"}, {"prefix": "a"}, {"regex": "a.*"}, {}])
paths = st.sampled_from([{"exact": "/a"}, {"exact": "/a/b"}, {"prefix": "/"}, {"prefix": "/a"}, {"regex": "/.*"}])
conditions_of_a_match = st.fixed_dictionaries(
    {},
    optional={
        "uri": paths,
        "headers": st.dictionaries(st.sampled_from("xy"), values, min_size=1, max_size=2),
        "queryParams": st.dictionaries(st.sampled_from("q"), values, min_size=1),
        "gateways": st.sampled_from([["mesh"], ["gw"], ["mesh", "gw"]]),
        "port": st.sampled_from([80, 81]),
    },
)
requests = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["/", "/a", "/a/b", "/c"]),
        "gateway": st.sampled_from(["mesh", "gw"]),
        "port": st.just(80),
    },
    optional={
        "x": st.sampled_from(["a", "ab", "c"]),
        "y": st.sampled_from(["a", "c"]),
        "q": st.sampled_from(["a", "c"]),
    },
)
odd = st.dictionaries(st.sampled_from(["timeout", "xNew", "mirrors"]), st.sampled_from([None, {}, [], "5.000s"]))


def text_fits(match, text):
    if text is None or not match:
        return text is not None
    ((kind, value),) = match.items()
    return {"exact": text == value, "prefix": text.startswith(value)}.get(kind, text.startswith(value[:-2]))


def fits(match, request):
    """Whether a request fulfils a match: an independent reading of it."""
    return (
        ("uri" not in match or text_fits(match["uri"], request["path"]))
        and all(text_fits(value, request.get(name)) for name, value in match.get("headers", {}).items())
        and all(text_fits(value, request.get(name)) for name, value in match.get("queryParams", {}).items())
        and request["gateway"] in match.get("gateways", ["mesh", "gw"])
        and match.get("port", 80) == request["port"]
    )


def taker(routes, request):
    for index, route in enumerate(routes):
        if not route.get("match") or any(fits(match, request) for match in route["match"]):
            return index
    return None


@st.composite
def cases(draw):
    others = [
        {"name": f"r{n}", **draw(odd), "match": draw(st.lists(conditions_of_a_match, min_size=1, max_size=2))}
        for n in range(draw(st.integers(0, 4)))
    ]
    base_match = draw(st.lists(conditions_of_a_match, max_size=2))
    base = {"name": "base", **draw(odd), **({"match": base_match} if base_match else {}), "route": to(v1=3, v3=1)}
    rule = Rule("new", draw(conditions_of_a_match.filter(bool)), draw(st.sampled_from([None, {V2: 1}, {V1: 1, V2: 1}])))
    return vs(*others, base, {"name": "last", "route": to(v1=None)}, gateways=["mesh", "gw"]), len(others), rule


@settings(max_examples=500, deadline=None)
@given(cases(), st.lists(requests, min_size=1, max_size=8))
def test_properties_of_a_rule(case, some_requests):
    obj, base, rule = case
    original = copy.deepcopy(obj)
    try:
        after = rules.set_rule(obj, base, REVIEWS, rule)
    except MeshopsError as refusal:
        assert str(refusal).endswith(".")
        return
    assert obj == original
    routes, place = after["spec"]["http"], named(after).index("meshops-new")
    assert place <= base
    assert [route for index, route in enumerate(routes) if index != place] == original["spec"]["http"]
    assert json.dumps(rules.remove_rule(after, "new")) == json.dumps(original), "removal restores"
    assert rules.set_rule(after, base + 1, REVIEWS, rule) is after, "a repeat is no change"
    for request in some_requests:
        was, now = taker(original["spec"]["http"], request), taker(routes, request)
        if now == place:
            assert any(fits(match, request) for match in routes[place]["match"])
        else:
            assert now == was + (was >= place), "all other requests go where they went"


@settings(max_examples=500, deadline=None)
@given(conditions_of_a_match, conditions_of_a_match, st.lists(requests, min_size=1, max_size=8))
def test_what_covers_takes_every_request(wide, narrow, some_requests):
    if matches.covers(wide, narrow, ["mesh", "gw"]):
        assert all(fits(wide, request) for request in some_requests if fits(narrow, request))
