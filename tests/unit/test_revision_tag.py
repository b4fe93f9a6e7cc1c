# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_revision_tag with a cluster in memory and an istioctl that leaves what the real one of its version leaves."""

from __future__ import annotations

import pytest
from injection_world import ADMISSION, FREE, NEVER, SYSTEM, World, namespace, proxied, usual, webhook, workload

from ansible_collections.meshops.istio.plugins.module_utils import injection_probe, revision_tags, tag_state
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Forbidden, Kube


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(injection_probe, "_AGAIN_SECONDS", 0.001)


def labelled(kind, name, api_version, space=None, **labels):
    meta = {"name": name, "labels": {key.replace("_", ".io/"): value for key, value in labels.items()}}
    return {"apiVersion": api_version, "kind": kind, "metadata": {**meta, **({"namespace": space} if space else {})}}


def tag_service(tag, revision):
    return labelled("Service", f"istiod-revision-tag-{tag}", "v1", SYSTEM, istio_rev=revision, istio_tag=tag)


def validator(revision):
    kind = "ValidatingWebhookConfiguration"
    return labelled(kind, "istiod-default-validator", ADMISSION, istio_rev=revision, istio_tag="default")


def endpoints(service="istiod", ready=True):
    found = labelled("EndpointSlice", f"{service}-x", "discovery.k8s.io/v1", SYSTEM)
    found["metadata"]["labels"]["kubernetes.io/service-name"] = service
    return {**found, "endpoints": [{"conditions": {"ready": ready}}]}


class Tool:
    """What the tag commands of an istioctl do to a World; `broken` makes them do nothing."""

    def __init__(self, world, version):
        self.world, self.called, self.runs, self.broken = world, version, [], False

    def __call__(self, *_args):
        return self

    def version(self):
        if self.called is None:
            raise IstioctlMissing("There is no istioctl at istioctl")
        return self.called

    @property
    def minor(self):
        return int(self.called.split(".")[1])

    def set(self, name, revision, space):
        self.runs.append(("set", name, revision, space))
        if self.broken:
            return
        self.world.put(webhook(revision, tag=name))
        if name == "default":
            own = self.world.live("MutatingWebhookConfiguration", "istio-sidecar-injector")
            for hook in (own or {}).get("webhooks", []):
                hook.update(namespaceSelector=NEVER, objectSelector=NEVER)
            self.world.put(validator(revision))
        if self.minor >= 28:
            self.world.put(tag_service(name, revision))

    def remove(self, name, space):
        self.runs.append(("remove", name, space))
        for obj in [*self.world.objects.values()]:
            tagged = (obj["metadata"].get("labels") or {}).get("istio.io/tag") == name
            taken = obj["kind"] != "ValidatingWebhookConfiguration" or self.minor >= 31
            if tagged and taken and not self.broken:
                self.world.remove(obj)


@pytest.fixture
def make(monkeypatch):
    def build(*objects, version="1.31.1"):
        world = World(FREE, *objects, default="1.31.1", **{"1_32": "1.32.0"})
        tool = Tool(world, version)
        monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: world))
        monkeypatch.setattr(revision_tags, "TagTool", tool)
        return world, tool

    return build


def run(name="prod", revision="1-32", check=False, **options):
    given = {"istioctl": "istioctl", "force": False, "timeout": 0.05, "state": "present", **options}
    result = revision_tags.core({"name": name, "revision": revision, **given}, check)
    result["diff"] = result["diff"]() if "diff" in result else []
    return result


def remove(name="prod", **options):
    return run(name, None, state="absent", **options)


def mesh(*more):
    return [*usual(), validator("default"), tag_service("default", "default"), webhook("1-32"), *ready(), *more]


def ready():
    return endpoints(), endpoints("istiod-1-32")


def test_commands():
    assert revision_tags.argv_set("istioctl", "prod", "1-32", "mesh", "lab") == [
        *["istioctl", "tag", "set", "prod", "--revision", "1-32", "--overwrite", "--skip-confirmation"],
        *["--istioNamespace", "mesh", "--context", "lab"],
    ]
    assert revision_tags.argv_remove("istioctl", "prod", "mesh") == [
        *["istioctl", "tag", "remove", "prod", "--skip-confirmation", "--istioNamespace", "mesh"]
    ]


@pytest.mark.parametrize("version", ["1.27.3", "1.31.1"])
def test_four_steps(make, version):
    world, tool = make(*mesh(), namespace("shop", **{"istio.io/rev": "prod"}), version=version)
    check = run(check=True)
    assert tool.runs == []
    real = run()
    assert tool.runs == [("set", "prod", "1-32", SYSTEM)]
    assert check == real
    assert (real["changed"], real["revision"], real["previous"]) == (True, "1-32", "")
    assert (real["reason"], real["namespaces"]) == ("the tag does not exist", ["shop"])
    for check_mode in (True, False):
        again = run(check=check_mode)
        assert (again["changed"], again["reason"], again["diff"]) == (False, "", [])
    assert len(tool.runs) == 1
    assert world.writes == []


def test_move_is_verified_with_a_pod_that_asks_for_the_tag(make):
    world, tool = make(*mesh(webhook(tag="prod"), tag_service("prod", "default")))
    result = run()
    assert (result["previous"], result["reason"]) == ("default", "the tag points to revision default")
    assert "revision: default" in result["diff"][0]["before"] and "revision: 1-32" in result["diff"][0]["after"]
    assert world.probes == [("default", "meshops-injection-probe")]
    world.versions["1-32"] = ""
    world.put(webhook(tag="prod"))
    with pytest.raises(MeshopsError, match="should get the sidecar of revision 1-32, but: they get none"):
        run()
    tool.broken = True
    world.put(webhook(tag="prod"))
    with pytest.raises(MeshopsError, match="ended without an error, but the tag points to revision default"):
        run()


def test_proof_waits_until_the_api_server_has_seen_the_move(make):
    world, _tool = make(*mesh(webhook(tag="prod"), tag_service("prod", "default")))
    injected, late = world.injected, [("default", "1.31.1"), ("default", "1.31.1")]
    world.injected = lambda pod: proxied(pod, *late.pop()) if late else injected(pod)
    assert run()["changed"] is True
    assert len(world.probes) == 3


def test_proof_is_a_warning_where_no_pod_may_be_made(make):
    world, _tool = make(*mesh())
    world.errors["default"] = Forbidden("exceeded quota", 403)
    assert "could not be proved: exceeded quota" in run()["warnings"][0]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([webhook("1-32", tag="prod", service="istiod-old"), tag_service("prod", "1-32")], "does not lead to istiod"),
        (
            [webhook("1-32", tag="prod"), tag_service("prod", "default")],
            "Service istio-system/istiod-revision-tag-prod",
        ),
        ([webhook("1-32", tag="prod")], "the tag has no Service"),
    ],
)
def test_a_tag_that_is_half_set_is_set_again(make, objects, words):
    _world, tool = make(*mesh(*objects))
    result = run()
    assert words in result["reason"]
    assert result["diff"][0]["before"] != result["diff"][0]["after"]
    assert len(tool.runs) == 1
    assert run()["changed"] is False


def test_default_tag_and_the_injector_that_it_replaces(make):
    _world, tool = make(
        webhook(), validator("default"), webhook(tag="default"), tag_service("default", "default"), *ready()
    )
    assert run("default", "default")["reason"] == "istio-sidecar-injector injects where the tag does"
    assert run("default", "default")["changed"] is False
    assert len(tool.runs) == 1


def test_default_tag_moves_with_its_validator(make):
    _world, tool = make(*mesh())
    assert run("default", "1-32")["changed"] is True
    assert run("default", "1-32")["changed"] is False
    tool.world.put(validator("default"))
    assert "istiod-default-validator of the tag still is of revision default" in run("default", "1-32")["reason"]


@pytest.mark.parametrize(
    ("name", "revision", "objects", "words"),
    [
        ("Prod", "1-32", mesh(), "'Prod' cannot be the name of a tag: use at most 43"),
        ("a" * 44, "1-32", mesh(), "cannot be the name of a tag"),
        ("pro-", "1-32", mesh(), "cannot be the name of a tag"),
        ("a.b", "1-32", mesh(), "cannot be the name of a tag"),
        ("1-32", "default", mesh(), "1-32 is the name of a revision"),
        ("prod", "1-33", mesh(), "no such control plane. The revisions that are there: 1-32, default"),
        ("prod", "x", [FREE], "The revisions that are there: none"),
        ("a", "b", mesh(webhook("1-32", tag="b")), "revision b: it is a tag of revision 1-32"),
        (
            "prod",
            "1-32",
            mesh(webhook(tag="prod", annotations={"meta.helm.sh/release-name": "istiod"})),
            "Tag prod belongs to the Helm release istiod",
        ),
        ("prod", "1-32", [*usual(), webhook("1-32"), endpoints("istiod-1-32", False)], "no pod of its istiod is ready"),
    ],
)
def test_refused_before_istioctl_runs(make, name, revision, objects, words):
    _world, tool = make(*objects)
    with pytest.raises(MeshopsError, match=words):
        run(name, revision)
    assert tool.runs == []


def istiod(version):
    found = labelled("Deployment", "istiod-1-32", "apps/v1", SYSTEM)
    found["metadata"]["labels"]["operator.istio.io/version"] = version
    return {**found, "spec": {"template": {"spec": {"containers": []}}}}


@pytest.mark.parametrize(
    ("client", "words"),
    [("1.20.0", "too old"), ("1.30.5", "more than one minor version"), ("1.33.0", ""), ("1.31.0", "")],
)
def test_istioctl_has_to_fit_the_control_plane(make, client, words):
    _world, tool = make(*mesh(istiod("1.32.0")), version=client)
    if not words:
        assert run()["changed"] is True
        return
    with pytest.raises(MeshopsError, match=words):
        run()
    assert tool.runs == []


def test_check_mode_before_istioctl_the_revision_or_the_cluster(make, monkeypatch):
    _world, tool = make(*mesh(), version=None)
    assert run(check=True)["changed"] is True
    with pytest.raises(IstioctlMissing):
        run()
    tool.called = "1.31.1"
    result = run("prod", "1-33", check=True)
    assert (result["changed"], result["reason"]) == (True, "revision 1-33 is not there yet")
    assert "no error" in result["warnings"][0]
    monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: AbsentKube()))
    assert run(check=True)["changed"] is True
    assert remove(check=True)["changed"] is False


def test_absent_in_four_steps(make):
    _world, tool = make(*mesh(webhook("1-32", tag="prod"), tag_service("prod", "1-32")))
    check = remove(check=True)
    assert tool.runs == []
    real = remove()
    assert tool.runs == [("remove", "prod", SYSTEM)]
    assert check == real
    assert (real["changed"], real["previous"], real["revision"]) == (True, "1-32", "")
    assert "Service istio-system/istiod-revision-tag-prod" in real["diff"][0]["before"]
    for check_mode in (True, False):
        assert remove(check=check_mode)["changed"] is False
    assert len(tool.runs) == 1


def test_absent_is_refused_while_it_is_used(make):
    used = namespace("shop", **{"istio.io/rev": "prod"})
    unused = namespace("bank", **{"istio.io/rev": "prod", "istio-injection": "enabled"})
    _world, tool = make(*mesh(webhook("1-32", tag="prod"), used, unused))
    with pytest.raises(MeshopsError, match="Tag prod is used by namespace shop: without it"):
        remove()
    assert tool.runs == []
    result = remove(force=True)
    assert result["namespaces"] == ["shop"]
    assert "new pods of namespace shop start without a sidecar" in result["warnings"][0]
    assert len(tool.runs) == 1


def test_workloads_elsewhere_alone_keep_the_tag(make):
    _world, tool = make(*mesh(namespace(SYSTEM), gateway()))
    with pytest.raises(MeshopsError, match="Tag default is used by Deployment istio-system/gate: without it"):
        remove("default")
    assert tool.runs == []


def gateway():
    labels = {"app": "gate", "sidecar.istio.io/inject": "true"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}}
    return next(workload("Deployment", "gate", template=template, space=SYSTEM))


@pytest.mark.parametrize("version", ["1.30.5", "1.31.1"])
def test_default_tag_goes_with_its_validator_in_every_version(make, version):
    objects = mesh(namespace(SYSTEM), gateway(), namespace("shop", **{"istio-injection": "enabled"}))
    world, tool = make(*objects, version=version)
    with pytest.raises(MeshopsError, match="used by namespace shop, Deployment istio-system/gate: without it"):
        remove("default")
    result = remove("default", force=True)
    assert (result["namespaces"], result["workloads"]) == (["shop"], ["Deployment istio-system/gate"])
    assert world.writes == (
        ["delete ValidatingWebhookConfiguration istiod-default-validator"] if version < "1.31" else []
    )
    assert remove("default")["changed"] is False
    assert len(tool.runs) == 1


def test_killed_between_the_tag_and_its_validator(make):
    world, tool = make(*usual()[:1], validator("default"), *ready(), version="1.30.5")
    assert remove("default", check=True)["changed"] is True
    assert remove("default")["changed"] is True
    assert (tool.runs, len(world.writes)) == ([], 1)
    assert remove("default")["changed"] is False


def test_removal_that_did_not_happen_is_an_error(make):
    _world, tool = make(*mesh(webhook("1-32", tag="prod")))
    tool.broken = True
    with pytest.raises(MeshopsError, match="but left MutatingWebhookConfiguration istio-revision-tag-prod"):
        remove()


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [
        ({"istio.io/rev": "prod"}, "prod", True),
        ({"istio.io/rev": "prod", "istio-injection": "enabled"}, "prod", False),
        ({"istio-injection": "enabled"}, "default", True),
        ({"istio-injection": "disabled"}, "default", False),
        ({"istio.io/rev": "default"}, "default", True),
        ({}, "default", False),
    ],
)
def test_chooses(labels, name, expected):
    assert tag_state.chooses(labels, name) is expected
