# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""module_utils/kube.py against an API server of a few lines: answers are scripted, requests are recorded."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import kube as kube_module
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    AbsentKube,
    Conflict,
    Forbidden,
    Invalid,
    Kube,
    NotFound,
    Unauthorized,
    Unreachable,
    WaitTimeout,
    WebhookUnavailable,
)

RESET = object()
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "demo"}, "data": {}}
VIRTUAL_SERVICE = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}}
THING = {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}}
DISCOVERY = {
    "resources": [
        {"name": "things", "kind": "Thing", "namespaced": True},
        {"name": "things/status", "kind": "Thing", "namespaced": True},
    ]
}


def status(code, message, reason=""):
    return code, {"kind": "Status", "message": message, "reason": reason, "code": code}, {}


WEBHOOK = status(500, 'Internal error occurred: failed calling webhook "v.istio.io": connection refused')


class Api:
    """Answers the requests in order, the last answer again and again; `seen` has (method, path, query, body)."""

    def __init__(self):
        self.answers = [(200, {}, {})]
        self.seen = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                parts = urlsplit(self.path)
                query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                api.seen.append((self.command, parts.path, query, body))
                api.token = self.headers.get("Authorization")
                reply = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
                if reply is RESET:
                    self.close_connection = True
                    self.connection.close()
                    return
                code, document, headers = reply
                lines = document if isinstance(document, list) else [document]
                data = b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"
                self.send_response(code)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def write_kubeconfig(path, url):
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": "sesame"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return {"kubeconfig": str(path), "context": None}


@pytest.fixture
def api():
    server = Api()
    yield server
    server.close()


@pytest.fixture
def kube(api, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    connected = Kube.connect(write_kubeconfig(tmp_path / "config", api.url))
    connected.transport.retry_timeout = connected.transport.webhook_timeout = 3.0
    return connected


def test_reads_with_the_token_of_the_kubeconfig(api, kube):
    api.answers = [(200, CONFIG_MAP, {})]
    assert kube.get("v1", "ConfigMap", "a", "demo") == CONFIG_MAP
    assert api.seen == [("GET", "/api/v1/namespaces/demo/configmaps/a", {}, None)]
    assert api.token == "Bearer sesame"


def test_absent_object_and_absent_kind_are_none(api, kube):
    api.answers = [status(404, 'configmaps "a" not found')]
    assert kube.get("v1", "ConfigMap", "a", "demo") is None
    assert kube.get("x.io/v1", "Thing", "a", "demo") is None
    assert kube.list("x.io/v1", "Thing") == []
    assert kube.delete("x.io/v1", "Thing", "a") is False
    assert [path for dummy, path, *dummies in api.seen[1:]] == ["/apis/x.io/v1"] * 3


def test_discovery_is_asked_once(api, kube):
    api.answers = [(200, DISCOVERY, {}), (200, {"items": [{"metadata": {"name": "a"}}]}, {})]
    assert kube.list("x.io/v1", "Thing", "demo", "app=x") == [THING]
    kube.list("x.io/v1", "Thing")
    assert [(path, query) for dummy, path, query, *dummies in api.seen] == [
        ("/apis/x.io/v1", {}),
        ("/apis/x.io/v1/namespaces/demo/things", {"labelSelector": "app=x"}),
        ("/apis/x.io/v1/things", {}),
    ]


@pytest.mark.parametrize(
    ("api_version", "kind", "plural"),
    [
        ("networking.istio.io/v1", "VirtualService", "virtualservices"),
        ("networking.istio.io/v1", "DestinationRule", "destinationrules"),
        ("networking.istio.io/v1", "Gateway", "gateways"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes"),
    ],
)
def test_kinds_of_istio_and_of_the_gateway_api_are_read_without_discovery(api, kube, api_version, kind, plural):
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}
    api.answers = [(200, {"items": [{"metadata": {"name": "a"}}]}, {}), (200, obj, {}), (200, {}, {}), (200, {}, {})]
    assert kube.list(api_version, kind) == [obj]
    assert kube.get(api_version, kind, "a", "demo") == obj
    kube.replace(obj)
    assert kube.delete(api_version, kind, "a", "demo") is True
    group = f"/apis/{api_version}"
    assert [tuple(request[:2]) for request in api.seen] == [
        ("GET", f"{group}/{plural}"),
        ("GET", f"{group}/namespaces/demo/{plural}/a"),
        ("PUT", f"{group}/namespaces/default/{plural}/a"),
        ("DELETE", f"{group}/namespaces/demo/{plural}/a"),
    ]


def test_when_such_a_kind_is_not_there_the_answer_tells(api, kube):
    api.answers = [status(404, "404 page not found")]
    assert kube.list("networking.istio.io/v1", "VirtualService", cached=True) == []
    assert kube.get("networking.istio.io/v1", "VirtualService", "a", "demo") is None
    assert kube.delete("networking.istio.io/v1", "VirtualService", "a", resource_version="1") is False
    assert [path.rsplit("/", 1)[-1] for dummy, path, *dummies in api.seen] == ["virtualservices", "a", "a"]
    assert kube.resource("networking.istio.io/v1", "VirtualService") is None


@pytest.mark.parametrize(("cached", "query"), [(True, {"resourceVersion": "0"}), (False, {})])
def test_a_list_may_be_taken_as_the_api_server_has_it_at_hand(api, kube, cached, query):
    api.answers = [(200, {"items": []}, {})]
    assert kube.list("v1", "Pod", "demo", "app=x", cached=cached) == []
    assert api.seen == [("GET", "/api/v1/namespaces/demo/pods", {"labelSelector": "app=x", **query}, None)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_object_of_one_version_is_deleted(api, kube, dry_run):
    api.answers = [(200, {}, {})]
    assert kube.delete("v1", "ConfigMap", "a", "demo", dry_run=dry_run, resource_version="7") is True
    ((verb, path, query, body),) = api.seen
    assert (verb, path) == ("DELETE", "/api/v1/namespaces/demo/configmaps/a")
    assert body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"resourceVersion": "7"},
        **({"dryRun": ["All"]} if dry_run else {}),
    }
    assert query == {"propagationPolicy": "Background", **({"dryRun": "All"} if dry_run else {})}


def test_an_object_that_has_another_version_by_now_is_not_deleted(api, kube):
    api.answers = [status(409, "the ResourceVersion in the precondition (7) does not match")]
    with pytest.raises(Conflict, match="Cannot delete ConfigMap demo/a: somebody else changed it"):
        kube.delete("v1", "ConfigMap", "a", "demo", resource_version="7")
    assert len(api.seen) == 1


def test_writes(api, kube):
    api.answers = [(200, {"done": True}, {})]
    with_fields = {**CONFIG_MAP, "metadata": {**CONFIG_MAP["metadata"], "resourceVersion": "7", "managedFields": []}}
    assert kube.apply(with_fields, dry_run=True) == {"done": True}
    kube.apply(CONFIG_MAP, force=False)
    kube.replace(with_fields)
    kube.create(CONFIG_MAP, dry_run=True)
    assert kube.delete("v1", "ConfigMap", "a", "demo", dry_run=True) is True
    path, manager = "/api/v1/namespaces/demo/configmaps", {"fieldManager": "meshops.istio"}
    dry = {"dryRun": "All"}
    assert api.seen == [
        ("PATCH", f"{path}/a", {**manager, "force": "true", **dry}, CONFIG_MAP),
        ("PATCH", f"{path}/a", {**manager, "force": "false"}, CONFIG_MAP),
        ("PUT", f"{path}/a", manager, with_fields),
        ("POST", path, {**manager, **dry}, CONFIG_MAP),
        ("DELETE", f"{path}/a", {"propagationPolicy": "Background", **dry}, None),
    ]


def test_names_cannot_leave_their_place_in_the_path(api, kube):
    kube.get("v1", "ConfigMap", "../../secrets/x?a=b", "demo")
    assert api.seen[0][1] == "/api/v1/namespaces/demo/configmaps/..%2F..%2Fsecrets%2Fx%3Fa%3Db"


@pytest.mark.parametrize(
    "failure",
    [status(429, "slow down"), status(500, "oops"), status(503, "starting"), WEBHOOK, RESET],
    ids=["429", "500", "503", "webhook", "reset"],
)
@pytest.mark.parametrize("write", [False, True], ids=["read", "apply"])
def test_passing_failures_are_tried_again(api, kube, failure, write):
    api.answers = [failure, failure, (200, CONFIG_MAP, {})]
    result = kube.apply(CONFIG_MAP) if write else kube.get("v1", "ConfigMap", "a", "demo")
    assert result == CONFIG_MAP
    assert len(api.seen) == 3


def test_retry_after_is_honoured(api, kube):
    code, body = status(429, "slow down")[:2]
    api.answers = [(code, body, {"Retry-After": "60"})]
    with pytest.raises(MeshopsError, match="keeps answering 429: slow down"):
        kube.apply(CONFIG_MAP)
    assert len(api.seen) == 1  # sixty seconds are beyond the patience of three: no use in knocking before


def test_creation_with_a_generated_name_is_not_repeated_after_a_reset(api, kube):
    api.answers = [RESET, (201, {}, {})]
    with pytest.raises(Unreachable):
        kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-", "namespace": "demo"}})
    assert len(api.seen) == 1


FORBIDDEN = (
    'deployments.apps "x" is forbidden: User "eve" cannot patch resource "deployments" in API group "apps"'
    ' in the namespace "demo"'
)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(403, FORBIDDEN), Forbidden, ["user eve may not patch deployments.apps in namespace demo"]),
        (status(403, "exceeded quota: q"), Forbidden, ["refuses it: exceeded quota: q"]),
        (status(403, 'pods "a" is forbidden: '), Forbidden, ["user of the kubeconfig may not create pods/exec"]),
        (status(404, 'namespaces "demo" not found'), NotFound, ['namespaces "demo" not found']),
        (status(409, "the object has been modified"), Conflict, ["the object has been modified"]),
        (status(422, "spec.x: Required value"), Invalid, ["spec.x: Required value"]),
        (status(500, "failed to create typed patch object (a): .spec.prots: field not declared"), Invalid, ["prots"]),
        (status(401, "Unauthorized"), Unauthorized, ["does not accept the credentials"]),
    ],
)
def test_errors_are_sentences_with_object_and_cause(api, kube, answer, error, words):
    api.answers = [answer]
    with pytest.raises(error) as caught:
        kube.apply(CONFIG_MAP)
    assert isinstance(caught.value, MeshopsError)
    assert str(caught.value).startswith("Cannot apply ConfigMap demo/a: ")
    assert all(word in str(caught.value) for word in words)
    assert len(api.seen) == (2 if error is Unauthorized else 1)


def test_dead_webhook_is_named_when_patience_ends(api, kube):
    kube.transport.webhook_timeout = 0.0
    api.answers = [WEBHOOK]
    with pytest.raises(WebhookUnavailable, match=r"v\.istio\.io"):
        kube.apply(CONFIG_MAP)


def test_webhook_that_says_no_is_not_asked_again(api, kube):
    api.answers = [status(400, 'admission webhook "v.istio.io" denied the request: weights')]
    with pytest.raises(Invalid, match="denied the request: weights"):
        kube.apply(CONFIG_MAP)
    assert len(api.seen) == 1


@pytest.mark.parametrize("obj", [VIRTUAL_SERVICE, THING], ids=["known", "discovered"])
@pytest.mark.parametrize("verb", ["apply", "create", "replace"])
def test_unknown_kind_names_the_crd(api, kube, obj, verb):
    api.answers = [status(404, "the server could not find the requested resource")]
    words = rf"Cannot {verb} {obj['kind']} a: .* no kind {obj['kind']} in {obj['apiVersion']}; install its CRD"
    with pytest.raises(NotFound, match=words):
        getattr(kube, verb)(obj)


def test_a_namespace_that_is_not_there_is_told_from_a_kind(api, kube):
    served = {"resources": [{"name": "virtualservices", "kind": "VirtualService", "namespaced": True}]}
    api.answers = [status(404, 'namespaces "demo" not found'), (200, served, {})]
    with pytest.raises(NotFound, match='namespaces "demo" not found'):
        kube.create(VIRTUAL_SERVICE)


def pods(*states):
    return [{"type": kind, "object": {"kind": "Pod", "n": n}} for kind, n in states]


def listed(*items):
    return 200, {"metadata": {"resourceVersion": "5"}, "items": list(items)}, {}


def test_wait_ends_with_the_event(api, kube):
    api.answers = [listed(), (200, pods(("ADDED", 1), ("MODIFIED", 2)), {})]
    found = kube.wait("v1", "Pod", "p", "demo", lambda pod: bool(pod) and pod["n"] == 2, 5)
    assert found["n"] == 2
    assert api.seen[1][2]["resourceVersion"] == "5"
    assert api.seen[1][2]["fieldSelector"] == "metadata.name=p"


def test_wait_survives_gone_and_cut_off_watches(api, kube):
    gone = (200, [{"type": "ERROR", "object": {"code": 410}}], {})
    api.answers = [listed({"n": 0}), gone, listed({"n": 0}), RESET, listed({"n": 3})]
    assert kube.wait("v1", "Pod", "p", "demo", lambda pod: pod["n"] == 3, 5)["n"] == 3


def test_wait_for_the_end_of_an_object(api, kube):
    api.answers = [listed({"n": 0}), (200, pods(("DELETED", 0)), {})]
    assert kube.wait("v1", "Pod", "p", "demo", lambda pod: pod is None, 5) == {}


def test_wait_gives_up_with_what_it_saw_last(api, kube):
    api.answers = [listed({"n": 0}), (200, pods(("MODIFIED", 1)), {})]
    api.answers += [listed({"n": 1}), (200, [], {})] * 10
    with pytest.raises(WaitTimeout, match="Pod demo/p") as caught:
        kube.wait("v1", "Pod", "p", "demo", lambda pod: False, 0.5)
    assert caught.value.last["n"] == 1


def test_missing_kubeconfig_is_a_sentence_and_in_check_mode_no_error(tmp_path):
    params = {"kubeconfig": str(tmp_path / "none"), "context": None}
    with pytest.raises(Unreachable, match="no kubeconfig at"):
        Kube.connect(params)
    absent = Kube.connect(params, check_mode=True)
    assert isinstance(absent, AbsentKube)
    assert absent.get("v1", "Pod", "a") is None
    assert absent.list("v1", "Pod") == []
    assert absent.apply(CONFIG_MAP, dry_run=True) == CONFIG_MAP


def test_refused_connection_names_the_server(tmp_path):
    params = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    kube = Kube.connect(params)
    kube.transport.retry_timeout = 0.0
    with pytest.raises(Unreachable, match=r"Cannot read Pod default/a: no answer from http://127\.0\.0\.1:9 "):
        kube.get("v1", "Pod", "a", "default")
    assert Kube.connect(params, check_mode=True).absent


def test_unusable_kubeconfig_and_context_are_named(tmp_path):
    params = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    with pytest.raises(MeshopsError, match="cannot be used with context nope"):
        Kube.connect({**params, "context": "nope"})


def test_kubeconfig_is_found_by_option_then_environment(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    monkeypatch.delenv("K8S_AUTH_KUBECONFIG", raising=False)
    paths = kube_module.kubeconfig_paths
    assert paths({"kubeconfig": "/x"}) == ["/x"]
    assert paths({"kubeconfig": None}) == ["/a", "/b"]
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "/c")
    assert paths({}) == ["/c"]
