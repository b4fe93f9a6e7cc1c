"""The module kube_info reads lists and single objects, waits for a condition, and names what does not reach it."""

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import kube_read
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, WaitTimeout


def node(name, ready):
    condition = {"type": "Ready", "status": ready, "message": "network is not ready"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "managedFields": [{}]},
        "status": {"conditions": [condition]},
    }


class FakeKube:
    absent = False

    def __init__(self, objects, later=None):
        self.objects, self.later, self.waited = objects, later, []

    def list(self, api_version, kind, namespace=None, label_selector=None):
        return self.objects

    def get(self, api_version, kind, name, namespace=None):
        return next((obj for obj in self.objects if obj["metadata"]["name"] == name), None)

    def wait(self, *where_predicate_timeout):
        *where, predicate, _timeout = where_predicate_timeout
        self.waited.append(where[2])
        if self.later is None or not predicate(self.later):
            raise WaitTimeout("not as wanted", None)
        return self.later


def wanted(**changes):
    entry = {"api_version": "v1", "kind": "Node", "name": None, "namespace": None}
    return {"objects": [{**entry, "label_selector": None, "wait_condition": None, **changes}], "timeout": 1}


@pytest.fixture
def use(monkeypatch):
    def connect(kube):
        monkeypatch.setattr(kube_read.Kube, "connect", staticmethod(lambda params, check_mode: kube))
        return kube

    return connect


def test_lists_and_names(use):
    use(FakeKube([node("n1", "True"), node("n2", "False")]))
    result = kube_read.core(wanted(), False)
    assert [obj["metadata"] for obj in result["found"][0]] == [{"name": "n1"}, {"name": "n2"}]
    assert (result["changed"], result["reachable"]) == (False, True)
    assert len(kube_read.core(wanted(name="n2"), False)["found"][0]) == 1
    assert kube_read.core(wanted(name="n3"), False)["found"] == [[]]


def test_waits_only_for_what_is_not_ready(use):
    kube = use(FakeKube([node("n1", "True"), node("n2", "False")], later=node("n2", "True")))
    (nodes,) = kube_read.core(wanted(wait_condition="Ready"), False)["found"]
    assert kube.waited == ["n2"]
    assert [obj["status"]["conditions"][0]["status"] for obj in nodes] == ["True", "True"]


def test_names_the_object_that_does_not_become_ready(use):
    use(FakeKube([node("n2", "False")]))
    with pytest.raises(MeshopsError, match=r"Node n2 did not become Ready in time: network is not ready\. .*kubectl"):
        kube_read.core(wanted(wait_condition="Ready"), False)


def test_check_mode_waits_for_nothing(use):
    kube = use(FakeKube([node("n2", "False")]))
    kube_read.core(wanted(wait_condition="Ready"), True)
    assert kube.waited == []


def test_an_absent_cluster_has_nothing(use):
    use(AbsentKube("no kubeconfig"))
    assert kube_read.core(wanted(), True) == {"changed": False, "reachable": False, "found": [[]]}


def test_secrets_are_refused(use):
    use(FakeKube([]))
    with pytest.raises(MeshopsError, match="Secret"):
        kube_read.core(wanted(kind="Secret"), False)
