"""The servers of a Gateway that are ours: only they change, taking them back restores; what a Secret has to have."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import credentials, gateways, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.gateways import Tls, Wish

HOST = "bookinfo.example.com"
PLAIN = Wish("bookinfo", "demo", (HOST,))
SECURE = replace(PLAIN, tls=Tls("bookinfo-cert", min_protocol="TLSV1_3"), redirect=True)


def server(number=80, name="http", protocol="HTTP", hosts=("other.example.com",), **more):
    return {"port": {"number": number, "name": name, "protocol": protocol}, "hosts": list(hosts), **more}


def gateway(*servers, name="bookinfo", namespace="demo", ours=False, selector=None, **spec):
    labels = {model.MANAGED_BY: model.OWNER} if ours else {"team": "shop"}
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": {"note": "x"}}
    content = {"selector": selector or {"istio": "ingressgateway"}, "servers": list(servers), **spec}
    return {"apiVersion": model.API_VERSION, "kind": "Gateway", "metadata": metadata, "spec": content}


def canonical(obj):
    return json.dumps(obj, sort_keys=True)


def refusal(action, *args):
    with pytest.raises(MeshopsError) as caught:
        action(*args)
    return str(caught.value)


# --- servers come and go ---


def test_a_new_gateway_is_ours():
    made = gateways.set_servers(None, PLAIN)
    assert model.is_ours(made)
    assert made["spec"] == {
        "selector": {"istio": "ingressgateway"},
        "servers": [server(80, "meshops-http", "HTTP", [HOST])],
    }
    assert gateways.set_servers(made, PLAIN) is made
    assert gateways.remove_servers(made) is None
    assert gateways.remove_servers(None) is None


def test_tls_with_redirect():
    made = gateways.set_servers(None, SECURE)
    plain, secure = made["spec"]["servers"]
    assert plain == server(80, "meshops-http", "HTTP", [HOST], tls={"httpsRedirect": True})
    tls = {"mode": "SIMPLE", "credentialName": "bookinfo-cert", "minProtocolVersion": "TLSV1_3"}
    assert secure == server(443, "meshops-https", "HTTPS", [HOST], tls=tls)
    assert gateways.set_servers(made, SECURE) is made
    # what is not asked for any more goes
    assert gateways.set_servers(made, PLAIN) == gateways.set_servers(None, PLAIN)
    less = gateways.set_servers(made, replace(SECURE, redirect=False, tls=Tls("bookinfo-cert")))
    assert "tls" not in less["spec"]["servers"][0]
    assert "minProtocolVersion" not in less["spec"]["servers"][1]["tls"]


@pytest.mark.parametrize(
    ("wish", "servers"),
    [
        (replace(SECURE, http=None, redirect=False), [("meshops-https", 443)]),
        (replace(SECURE, http=8080, https=8443), [("meshops-http", 8080), ("meshops-https", 8443)]),
        (replace(PLAIN, https=8443), [("meshops-http", 80)]),
        (replace(PLAIN, tls=Tls(mode="PASSTHROUGH")), [("meshops-http", 80), ("meshops-https", 443)]),
    ],
)
def test_ports(wish, servers):
    made = gateways.set_servers(None, wish)
    assert [(item["port"]["name"], item["port"]["number"]) for item in made["spec"]["servers"]] == servers
    assert gateways.set_servers(made, wish) is made
    edited = gateways.set_servers(gateways.set_servers(None, SECURE), wish)
    assert {canonical(item) for item in edited["spec"]["servers"]} == {
        canonical(item) for item in made["spec"]["servers"]
    }


def test_only_what_differs_in_a_server_of_ours_changes():
    ours = server(80.0, "meshops-http", "http", ["b.example.com", HOST], bind="", xNew={"a": None})
    tls = {"mode": "SIMPLE", "credentialName": "old", "cipherSuites": ["x"], "minProtocolVersion": "TLS_AUTO"}
    live = gateway(ours, server(443, "meshops-https", "HTTPS", [HOST, "b.example.com"], tls=tls), ours=True)
    wish = replace(PLAIN, hosts=(HOST, "b.example.com"), tls=Tls("old"))
    assert gateways.set_servers(live, wish) is live
    edited = gateways.set_servers(live, replace(wish, tls=Tls("new"), http=8080))
    assert edited["spec"]["servers"][0] == {**ours, "port": {**ours["port"], "number": 8080}}
    assert edited["spec"]["servers"][1]["tls"] == {**tls, "credentialName": "new"}


def test_a_redirect_that_is_off_stays_as_it_is_written():
    live = gateway(server(80, "meshops-http", "HTTP", [HOST], tls={"httpsRedirect": False}), ours=True)
    assert gateways.set_servers(live, PLAIN) is live


def test_a_second_server_of_the_same_name_goes():
    live = gateway(*[server(80, "meshops-http", "HTTP", [HOST])] * 2, server(81, "meshops-old"), ours=True)
    assert gateways.set_servers(live, PLAIN)["spec"]["servers"] == live["spec"]["servers"][:1]


def test_the_servers_of_others_stay():
    foreign = gateway(server(8080, xNew={"deep": [None, {}]}), server(443, "tls", "TLS", tls={"mode": "PASSTHROUGH"}))
    both = gateways.set_servers(foreign, SECURE)
    assert both["spec"]["servers"][:2] == foreign["spec"]["servers"]
    assert both["metadata"] == foreign["metadata"]
    assert canonical(gateways.remove_servers(both)) == canonical(foreign)
    assert gateways.remove_servers(foreign) is foreign
    # one of ours with a stranger in it is not deleted
    mixed = gateway(server(8080), server(80, "meshops-http"), ours=True)
    assert gateways.remove_servers(mixed)["spec"]["servers"] == [server(8080)]
    emptied = gateway(server(80, "meshops-http"))
    assert "would have no server left" in refusal(gateways.remove_servers, emptied)


# --- the selector ---


def test_a_selector():
    wish = replace(PLAIN, selector={"istio": "own"})
    assert gateways.set_servers(None, wish)["spec"]["selector"] == {"istio": "own"}
    live = gateway(server(80, "meshops-http", "HTTP", [HOST]), ours=True)
    moved = gateways.set_servers(live, wish)
    assert moved["spec"]["selector"] == {"istio": "own"}
    assert gateways.set_servers(moved, PLAIN) is moved
    for other in (gateway(server(8080), ours=True), gateway(server(80, "meshops-http"))):
        assert "selects istio=ingressgateway, and another selector would move" in refusal(
            gateways.set_servers, other, wish
        )
        assert gateways.set_servers(other, replace(wish, selector={"istio": "ingressgateway"}))


# --- wrong input ---


@pytest.mark.parametrize(
    "host", [HOST, "*", "*.example.com", "demo/a.example.com", "./*.example.com", "*/*", "10.0.0.1"]
)
def test_hosts_that_istio_takes(host):
    assert gateways.host_problem(host) == ""
    assert gateways.set_servers(None, replace(PLAIN, hosts=(host, host)))["spec"]["servers"][0]["hosts"] == [host]


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("", "is empty"),
        ("demo/", "is empty"),
        ("localhost", "has no domain"),
        ("a.*.example.com", "has a wildcard elsewhere"),
        ("*a.example.com", "has a wildcard elsewhere"),
        ("*.*.com", "has a wildcard elsewhere"),
        ("http://a.example.com", "has the namespace 'http:/'"),
        ("/a.example.com", "has the namespace ''"),
        ("Demo/a.example.com", "has the namespace 'Demo'"),
        ("a/b/c.example.com", "has the namespace 'a/b'"),
        ("a..example.com", "is no host name"),
        ("-a.example.com", "is no host name"),
        ("a.example.com:80", "is no host name"),
        ("a.example.com\n", "is no host name"),
        ("a." * 128 + "com", "is no host name"),
        ("10.0.0.300", "ends with a number"),
        (7, "is no text"),
    ],
)
def test_hosts_that_cannot_be_are_refused(host, word):
    sentence = refusal(gateways.set_servers, None, replace(PLAIN, hosts=(HOST, host)))
    assert sentence.startswith(f"The host {host!r} of Gateway demo/bookinfo {word}")
    assert "Write it as" in sentence


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"hosts": ()}, "has no hosts"),
        ({"http": None}, "neither a plain port nor tls"),
        ({"redirect": True}, "without tls"),
        ({"redirect": True, "http": None, "tls": Tls("a")}, "without a plain port"),
        ({"http": 70000}, "http_port of Gateway demo/bookinfo is 70000"),
        ({"http": True}, "http_port of Gateway demo/bookinfo is True"),
        ({"https": 0, "tls": Tls("a")}, "https_port of Gateway demo/bookinfo is 0"),
        ({"http": 443, "tls": Tls("a")}, "port 443 for plain and for TLS"),
        ({"tls": Tls("")}, "'' of Gateway demo/bookinfo is no name of a Secret"),
        ({"tls": Tls("istio-system/a")}, "is no name of a Secret"),
        ({"tls": Tls("a-cacert")}, "Name it a, or"),
        ({"tls": Tls("a", "NONE")}, "mode of Gateway demo/bookinfo is 'NONE'"),
        ({"tls": Tls("a", min_protocol="SSLV3")}, "'SSLV3'"),
        ({"tls": Tls("a", "PASSTHROUGH")}, "passes TLS through"),
        ({"selector": {}}, "is empty"),
        ({"selector": {"istio": 1}}, "Put it in quotes"),
    ],
)
def test_a_wrong_wish_is_refused(changes, word):
    for live in (None, gateway(server(8080))):
        assert word in refusal(gateways.set_servers, live, replace(PLAIN, **changes))


@pytest.mark.parametrize(
    ("stranger", "wish", "word"),
    [
        (server(80, "tcp", "TCP"), PLAIN, "has the server tcp of somebody else on port 80 with protocol TCP"),
        (server(80, "h2", "HTTP2"), PLAIN, "with protocol HTTP2"),
        (server(443, "x", "HTTP"), SECURE, "on port 443 with protocol HTTP,"),
        (server(443, "x", "HTTPS", [f"./{HOST}", HOST]), SECURE, f"for {HOST} already"),
        (server(443, "x", "TLS", [f"*/{HOST}"]), SECURE, f"for {HOST} already"),
        (
            {"port": {"number": 80}},
            PLAIN,
            "the server (without a name) of somebody else on port 80 with protocol (none)",
        ),
        (server(80, "x", "http", [HOST]), PLAIN, None),
        (server(80, "x", "TCP", bind="10.0.0.1"), PLAIN, None),
        (server(443, "x", "TLS"), SECURE, None),
        (None, SECURE, None),
        ({"port": None}, SECURE, None),
    ],
)
def test_a_port_is_not_taken_from_somebody_else(stranger, wish, word):
    live = gateway(stranger)
    if word:
        assert word in refusal(gateways.set_servers, live, wish)
    else:
        assert gateways.set_servers(live, wish)["spec"]["servers"][0] == stranger


def test_servers_that_are_no_list_are_refused():
    live = {**gateway(), "spec": {"servers": {"a": 1}}}
    assert "servers that are no list" in refusal(gateways.set_servers, live, PLAIN)
    assert "servers that are no list" in refusal(gateways.remove_servers, live)


# --- other Gateways ---

POD = {"metadata": {"labels": {"istio": "ingressgateway", "app": "x"}}}


@pytest.mark.parametrize(
    ("other", "warned"),
    [
        (server(443, "x", "HTTPS", [HOST], tls={"mode": "SIMPLE", "credentialName": "other"}), True),
        (server(443, "x", "HTTPS", [f"*/{HOST}"], tls={"mode": "MUTUAL", "credentialName": "c"}), True),
        (server(443, "x", "HTTPS", [HOST], tls={"mode": "SIMPLE", "credentialName": "c", "xNew": []}), False),
        (server(443, "x", "HTTPS", [f"./{HOST}"], tls={"mode": "MUTUAL"}), False),
        (server(443, "x", "HTTPS", ["*.example.com"], tls={"mode": "MUTUAL"}), False),
        (server(8443, "x", "HTTPS", [HOST], tls={"mode": "MUTUAL"}), False),
        (server(80, "x", "HTTP", [HOST]), False),
        (server(80, "x", "HTTP", [HOST], tls={"httpsRedirect": True}), True),
        (None, False),
    ],
)
def test_overlaps(other, warned):
    mine = gateways.set_servers(None, replace(PLAIN, tls=Tls("c")))
    found = gateways.overlaps(mine, [mine, gateway(other, name="old", namespace="shop")], [POD])
    assert len(found) == warned
    if warned:
        assert "Gateway shop/old selects the same pods as demo/bookinfo" in found[0]


@pytest.mark.parametrize(
    ("selector", "pods", "warned"),
    [
        ({"istio": "ingressgateway"}, [], True),
        ({"app": "x"}, [POD], True),
        ({"app": "x"}, [], False),
        ({"app": "y"}, [POD], False),
    ],
)
def test_only_gateways_of_the_same_pods_overlap(selector, pods, warned):
    mine = gateways.set_servers(None, PLAIN)
    other = gateway(server(80, "x", "HTTPS", [HOST]), name="old", selector=selector)
    assert bool(gateways.overlaps(mine, [other], pods)) == warned


# --- Secrets ---

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n"


def secret(kind="kubernetes.io/tls", **data):
    encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": "c", "namespace": "gw"}, "type": kind, "data": encoded}


GOOD = {"tls_crt": CERTIFICATE, "tls_key": KEY}


@pytest.mark.parametrize(
    ("found", "mode", "authority", "word"),
    [
        (None, "SIMPLE", None, "There is no Secret c in namespace gw, where the gateway's pods read it."),
        (secret(**GOOD), "SIMPLE", None, ""),
        (secret("Opaque", cert=CERTIFICATE, key=KEY), "SIMPLE", None, ""),
        (secret(**GOOD, cert="", key="x"), "SIMPLE", None, ""),
        (secret("helm.sh/release.v1", **GOOD), "SIMPLE", None, "has the type helm.sh/release.v1"),
        (secret(), "SIMPLE", None, "neither tls.crt and tls.key nor cert and key with content (it is empty)"),
        (secret(tls_crt=CERTIFICATE, key=KEY), "SIMPLE", None, "(it has: key, tls.crt)"),
        (secret(tls_crt=CERTIFICATE, tls_key=""), "SIMPLE", None, "(it has: tls.crt, tls.key)"),
        ({"data": {"tls.crt": "%", "tls.key": 5}}, "SIMPLE", None, "with content"),
        (secret(tls_crt="hello", tls_key=KEY), "SIMPLE", None, "tls.crt of Secret gw/c is no certificate in PEM form"),
        (secret(cert=CERTIFICATE, key=CERTIFICATE), "SIMPLE", None, "key of Secret gw/c is no private key in PEM"),
        (secret(**GOOD), "MUTUAL", None, "Secret gw/c has no ca.crt or cacert with content (it has: tls.crt, tls.key)"),
        (secret(**GOOD, ca_crt=CERTIFICATE), "MUTUAL", None, ""),
        (secret(**GOOD, cacert=CERTIFICATE), "MUTUAL", None, ""),
        (secret(**GOOD, ca_crt="x"), "MUTUAL", None, "ca.crt of Secret gw/c is no certificate"),
        (secret(**GOOD), "MUTUAL", secret("Opaque", cacert=CERTIFICATE), ""),
        (secret(**GOOD, ca_crt=CERTIFICATE), "MUTUAL", secret("Opaque"), "Secret gw/c-cacert has no ca.crt or cacert"),
    ],
)
def test_secrets(found, mode, authority, word):
    problem = credentials.secret_problem(found, "c", "gw", mode, authority)
    assert word in problem
    assert bool(word) == bool(problem)
    assert "AA==" not in problem


def test_the_generic_keys_come_first():
    both = secret(**GOOD, cert=CERTIFICATE + "1", key=KEY + "1")
    assert credentials.pair_of(both) == ((CERTIFICATE + "1").encode(), (KEY + "1").encode())
    assert credentials.pair_of(secret(**GOOD)) == (CERTIFICATE.encode(), KEY.encode())
    assert credentials.pair_of(secret()) is None


# --- properties ---------------------------------------------------------------------------------------------------

leftovers = st.sampled_from([None, {}, [], 0])
strangers = st.one_of(
    st.sampled_from([None, {}, {"port": None}, "x"]),
    st.fixed_dictionaries(
        {
            "port": st.fixed_dictionaries(
                {
                    "number": st.sampled_from([8080, 9443, 80.0]),
                    "name": st.sampled_from(["http", "x", "my-meshops-http"]),
                    "protocol": st.just("http"),
                }
            ),
            "hosts": st.lists(st.sampled_from(["*", HOST, "./a.example.com"]), max_size=2),
        },
        optional={"tls": leftovers | st.just({"httpsRedirect": False}), "bind": st.just("0.0.0.0"), "xNew": leftovers},
    ),
)
wishes = st.builds(
    lambda hosts, http, tls, redirect: replace(
        PLAIN, hosts=tuple(hosts), http=http, tls=tls, redirect=redirect and bool(http and tls)
    ),
    st.lists(st.sampled_from([HOST, "*", "*.example.com", "demo/a.example.com"]), min_size=1),
    st.sampled_from([80, 8081, None]),
    st.sampled_from([None, Tls("a"), Tls("a", "MUTUAL", "TLSV1_2"), Tls(mode="PASSTHROUGH")]),
    st.booleans(),
).filter(lambda wish: wish.http or wish.tls)


@settings(max_examples=300, deadline=None)
@given(st.lists(strangers, min_size=1, max_size=3), leftovers, wishes, wishes)
def test_what_is_added_and_removed_leaves_no_trace(servers, extra, first, second):
    live = gateway(*servers, xNew=extra)
    original = copy.deepcopy(live)
    current = live
    for wish in (first, second):
        before = copy.deepcopy(current)
        edited = gateways.set_servers(current, wish)
        assert current == before, "the input is not changed"
        assert gateways.set_servers(edited, wish) is edited, "a repeat is no change"
        others = [item for item in edited["spec"]["servers"] if not gateways.is_our_server(item)]
        assert canonical(others) == canonical(original["spec"]["servers"])
        current = edited
    before = copy.deepcopy(current)
    assert canonical(gateways.remove_servers(current)) == canonical(original)
    assert current == before
