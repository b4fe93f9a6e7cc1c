# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights of docs/rights.md suffice and each is needed; what is wrong with a kubeconfig is one sentence."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import subprocess
import time
from functools import partial

import pytest
import yaml

from tests.integration.cases import CASES, NAMESPACE, options_of, prepared, tasks
from tests.integration.playbooks import results, warnings_of
from tests.integration.tasks import task
from tests.integration.test_examples import certificate, secret
from tests.support import KUBECONFIG, PROJECT, kubectl, kubectl_apply

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError  # isort: skip - see tasks

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:traffic"
OBJECTS = list(
    yaml.safe_load_all(re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs/rights.md").read_text(), re.DOTALL)[0])
)
ROLES = [obj for obj in OBJECTS if obj["kind"] in ("Role", "ClusterRole")]
RIGHTS = sorted(
    {
        (verb, resource, role["metadata"].get("namespace", NAMESPACE))
        for role in ROLES
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
)
TLS = {**CASES["check-gateway"].present, "tls": {"credential": "check-certificate"}}
GROUPS = {
    resource: group
    for role in ROLES
    for rule in role["rules"]
    for group in rule["apiGroups"]
    for resource in rule["resources"]
}


def kubeconfig_of(token: str, path) -> str:
    """A kubeconfig for the cluster of the lab with a token."""
    content = yaml.safe_load(KUBECONFIG.read_text())
    content["users"] = [{"name": user["name"], "user": {"token": token}} for user in content["users"]]
    path.write_text(yaml.safe_dump(content))
    path.chmod(0o600)
    return path


def token_of(name: str) -> str:
    return kubectl("-n", NAMESPACE, "create", "token", name, "--duration=1h").strip()


def may(verb: str, resource: str, namespace: str) -> bool:
    """Whether the API server lets the account do it by now."""
    name, _slash, part = resource.partition("/")
    attributes = {
        "group": GROUPS[resource],
        "resource": name,
        "subresource": part,
        "verb": verb,
        "namespace": namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": ACCOUNT, "resourceAttributes": attributes},
    }
    admin = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
    argv = ["docker", "exec", "-i", "meshops-n1", *admin, "create", "-f", "-", "-o", "jsonpath={.status.allowed}"]
    return subprocess.run(argv, input=json.dumps(review), capture_output=True, text=True, check=True).stdout == "true"


def until(holds, what) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """The kubeconfig of the account of the page, on a lab with the Services of the cases."""
    folder = tmp_path_factory.mktemp("account")
    with prepared():
        kubectl_apply(*OBJECTS, secret("check-certificate", "istio-system", certificate(folder, "check.example.com")))
        try:
            # one of each binding
            for right in (
                ("list", "pods", "default"),
                ("create", "gateways", NAMESPACE),
                ("get", "secrets", "istio-system"),
            ):
                until(partial(may, *right), f"may not {right}")
            yield kubeconfig_of(token_of("traffic"), folder / "kubeconfig")
        finally:
            for obj in reversed(OBJECTS):
                meta = obj["metadata"]
                kubectl(
                    "-n", meta.get("namespace", "default"), "delete", obj["kind"], meta["name"], "--ignore-not-found"
                )
            kubectl("-n", "istio-system", "delete", "secret", "check-certificate", "--ignore-not-found")


@pytest.mark.parametrize("phase", ["present", "absent"])
def test_the_rights_of_the_page_suffice(account, phase):
    wanted = [*tasks(phase), {"name": "check-tls", "meshops.istio.istio_gateway": TLS}]
    found = results(wanted, kubeconfig=account)
    assert [result["name"] for result in found] == [item["name"] for item in wanted]
    for result in found:
        print(result["name"], result["changed"], result.get("proof"))
        assert warnings_of(result) == [], result["name"]
        assert result["changed"] or result["name"] == "check-info"
        if result["changed"] and "istio_gateway" not in result["action"] and phase == "present":
            assert result["proof"]["proxies"] > 0, result["name"]


# --- without one of them ---


@contextlib.contextmanager
def without(verb: str, resource: str, namespace: str):
    """The rights of the page without one."""
    reduced = copy.deepcopy(ROLES)
    for role in reduced:
        role["rules"] = [
            {"apiGroups": rule["apiGroups"], "resources": [one], "verbs": [v]}
            for rule in role["rules"]
            for one in rule["resources"]
            for v in rule["verbs"]
            if (v, one) != (verb, resource)
        ]
    kubectl_apply(*reduced)
    try:
        until(lambda: not may(verb, resource, namespace), f"may still {verb} {resource}")
        yield
    finally:
        kubectl_apply(*ROLES)
        until(lambda: may(verb, resource, namespace), f"may not {verb} {resource}")


def toggled(case: str) -> dict:
    """Options of a task that changes something, whatever was before."""
    weight = time.monotonic_ns() % 89 + 1
    return {**options_of(case, "present"), "weights": {"v1": weight, "v3": 100 - weight}}


SPLIT = ("split", lambda: toggled("check-split"))
GATEWAY_API = ("split", lambda: {**options_of("check-new", "present"), "api": "gateway", "between": "services"})
# a task that needs the right, and whether it fails or goes on with a warning without it
LOST = {
    ("get", "services"): (SPLIT, "fails"),
    ("list", "pods"): (SPLIT, "fails"),
    ("get", "pods/exec"): (SPLIT, "warns"),
    ("create", "pods/exec"): (SPLIT, "warns"),
    ("list", "virtualservices"): (SPLIT, "fails"),
    ("list", "destinationrules"): (SPLIT, "fails"),
    ("list", "httproutes"): (GATEWAY_API, "fails"),
    ("list", "grpcroutes"): (GATEWAY_API, "fails"),
    ("create", "virtualservices"): (("split", lambda: options_of("check-new", "present")), "fails"),
    ("update", "virtualservices"): (SPLIT, "fails"),
    ("delete", "virtualservices"): (("split", lambda: options_of("check-services", "absent")), "fails"),
    ("create", "destinationrules"): (("split", lambda: options_of("check-new", "present")), "fails"),
    ("update", "destinationrules"): (
        ("subset", lambda: {**options_of("check-split", "absent"), "name": "v9", "state": "present"}),
        "fails",
    ),
    ("delete", "destinationrules"): (("subset", lambda: options_of("check-subset", "absent")), "fails"),
    ("get", "gateways"): (("gateway", lambda: options_of("check-gateway", "present")), "fails"),
    ("list", "gateways"): (
        ("gateway", lambda: {**options_of("check-gateway", "present"), "name": "check-list"}),
        "warns",
    ),
    ("create", "gateways"): (
        ("gateway", lambda: {**options_of("check-gateway", "present"), "name": "check-two"}),
        "fails",
    ),
    ("update", "gateways"): (
        ("gateway", lambda: {**options_of("check-gateway", "present"), "hosts": ["x.example.com"]}),
        "fails",
    ),
    ("delete", "gateways"): (("gateway", lambda: options_of("check-gateway", "absent")), "fails"),
    ("get", "secrets"): (("gateway", lambda: {**TLS, "name": "check-tls"}), "fails"),
}
# asked only when two writers meet
ON_CONFLICT = {("get", "virtualservices"), ("get", "destinationrules")}


@pytest.fixture(scope="module")
def made(account):
    """What the tasks that edit and delete need."""
    for name in ("check-services", "check-subset", "check-gateway"):
        case = CASES[name]
        task(case.module.removeprefix("traffic_").removeprefix("istio_"), **options_of(name, "present"))
    task("split", **options_of("check-new", "absent"))
    return account


def test_each_right_is_lost_once():
    assert {right[:2] for right in RIGHTS} == LOST.keys() | ON_CONFLICT


@pytest.mark.parametrize(("verb", "resource", "namespace"), [right for right in RIGHTS if right[:2] not in ON_CONFLICT])
def test_without_a_right_one_sentence_names_it(made, verb, resource, namespace):
    (name, options), outcome = LOST[verb, resource]
    full = f"{resource}.{GROUPS[resource]}" if GROUPS[resource] else resource
    # the refusal of this one does not tell whose right is missing
    user = "the user of the kubeconfig" if (verb, resource) == ("create", "pods/exec") else f"user {ACCOUNT}"
    with without(verb, resource, namespace):
        try:
            told = task(name, **{"kubeconfig": str(made), **options()})["warnings"]
            ended = "warns"
        except MeshopsError as error:
            told, ended = [str(error)], "fails"
    print(verb, resource, ended, told)
    assert ended == outcome
    (sentence,) = told
    assert f"{user} may not {verb} {full}" in sentence
    assert "\n" not in sentence and "Written before" not in sentence


PAGE = {"host": "productpage", "namespace": NAMESPACE, "virtual_service": "bookinfo", "route": "http[0]"}
IN_SPITE = [
    # the right that is missing, the task, its options, and what it warns of, "" for nothing
    (("list", "pods"), "split", lambda: {**toggled("check-split"), "require_ready": False, "wait": False}, ""),
    (("get", "pods/exec"), "split", lambda: {**toggled("check-split"), "wait": False}, ""),
    (("create", "pods/exec"), "info", lambda: {"host": "reviews", "namespace": NAMESPACE, "proxies": False}, ""),
    (("list", "httproutes"), "split", lambda: toggled("check-split"), ""),
    (
        ("get", "secrets"),
        "gateway",
        lambda: {**TLS, "name": "check-tls", "require_secret": False},
        "may not get secrets",
    ),
    (
        ("get", "gateways"),
        "policy",
        lambda: {**PAGE, "timeout": "20s"},
        "may not get gateways.networking.istio.io",
    ),
]


@pytest.mark.parametrize(("right", "name", "options", "warning"), IN_SPITE)
def test_what_the_page_says_to_do_without_a_right(made, right, name, options, warning):
    with without(*right, NAMESPACE if right[1] != "secrets" else "istio-system"):
        told = task(name, **{"kubeconfig": str(made), **options()})["warnings"]
    print(right, told)
    assert len(told) == bool(warning) and warning in "".join(told)


def test_rights_in_one_namespace_alone_give_warnings(made):
    binding = next(obj for obj in OBJECTS if obj["kind"] == "ClusterRoleBinding")
    narrow = {**binding, "kind": "RoleBinding", "metadata": {"name": "meshops-traffic-narrow", "namespace": NAMESPACE}}
    kubectl_apply(narrow)
    kubectl("delete", "clusterrolebinding", binding["metadata"]["name"])
    try:
        until(lambda: not may("list", "pods", "istio-system") and may("list", "pods", NAMESPACE), "the narrow rights")
        result = task("split", kubeconfig=str(made), **toggled("check-split"))
    finally:
        kubectl_apply(binding)
        kubectl("-n", NAMESPACE, "delete", "rolebinding", "meshops-traffic-narrow")
        until(lambda: may("list", "pods", "istio-system"), "the rights of the page")
    print("\n".join(result["warnings"]))
    assert result["changed"] and result["proof"]["proxies"] > 0
    for kind in ("VirtualServices", "DestinationRules"):
        assert (
            f"Only the {kind} of namespace bookinfo may be read, those of others are not considered."
            in result["warnings"]
        )
    assert any("Only proxies in the namespaces bookinfo are asked" in text for text in result["warnings"])
    assert len(result["warnings"]) == 3


# --- a kubeconfig that cannot be used ---

LOOK = {"name": "look", "meshops.istio.traffic_info": {"host": "reviews", "namespace": NAMESPACE}}


def refusal(kubeconfig, tasks_=(LOOK,)) -> str:
    """The one sentence with which a task ends."""
    result = results(tasks_, kubeconfig=kubeconfig, fails=True)[-1]
    print(result["msg"])
    assert result["failed"]
    # one sentence for a person, not a dump
    assert "\n" not in result["msg"] and result["msg"].endswith(".") and len(result["msg"]) < 300
    assert "Traceback" not in str(result)
    return result["msg"]


def test_a_kubeconfig_that_is_not_there(tmp_path):
    missing = tmp_path / "nowhere.conf"
    assert (
        refusal(missing)
        == f"There is no kubeconfig at {missing}: set the option kubeconfig to the file of your cluster."
    )


def test_a_token_that_is_not_accepted(tmp_path):
    sentence = refusal(kubeconfig_of("garbage", tmp_path / "kubeconfig"))
    assert "does not accept the credentials of the kubeconfig (expired, or of another cluster)" in sentence
    assert "garbage" not in sentence


def test_an_account_without_any_right(tmp_path):
    sentence = refusal(kubeconfig_of(token_of("default"), tmp_path / "kubeconfig"))
    assert re.search(r"user system:serviceaccount:bookinfo:default may not (list|get) \w+", sentence)
    assert "grant it by a Role or use another kubeconfig." in sentence


def test_the_gateway_api_where_it_is_not_installed():
    options = {"host": "reviews", "namespace": NAMESPACE, "api": "gateway", "weights": {"reviews:9080": 1}}
    sentence = refusal(KUBECONFIG, [{"name": "split", "meshops.istio.traffic_split": options}])
    assert sentence == (
        "The cluster has no kind HTTPRoute in gateway.networking.k8s.io/v1."
        " Install the CRDs of the Gateway API, or leave api out."
    )
