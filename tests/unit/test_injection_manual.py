# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_kube_inject: what is shown to istioctl, what of its answer is kept, and that nobody else can read the files."""

from __future__ import annotations

import copy
import stat
from pathlib import Path

import pytest
from injection_world import SYSTEM, World, proxied, usual, webhook

from ansible_collections.meshops.istio.plugins.module_utils import apply, manifests, manual_injection
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import IstioctlMissing
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube

POD = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "old/app:1"}]}}


def obj(kind, api_version="apps/v1", **spec):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}


SERVICE = obj("Service", "v1", ports=[{"port": 80}])
DEPLOYMENT = obj("Deployment", template=POD)
CRON = obj("CronJob", "batch/v1", jobTemplate={"spec": {"template": POD}})


class Tool:
    """An istioctl that puts a sidecar into everything, and writes objects as its typed form makes them."""

    def __init__(self, version="1.31.1", sidecars=True):
        self.called, self.sidecars, self.asked, self.seen, self.modes = version, sidecars, [], [], []

    def __call__(self, *_args):
        return self

    def version(self):
        if self.called is None:
            raise IstioctlMissing("There is no istioctl at istioctl")
        return self.called

    def inject(self, path, revision, space):
        self.asked.append((revision, space))
        self.modes.append((stat.S_IMODE(Path(path).stat().st_mode), stat.S_IMODE(Path(path).parent.stat().st_mode)))
        self.seen = manifests.load(Path(path).read_text(encoding="utf-8"))
        answer = []
        for item in copy.deepcopy(self.seen):
            spec = item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item["spec"]
            if self.sidecars:
                spec["template"] = proxied(spec["template"], revision, "1.31.1")
            spec["template"]["metadata"]["creationTimestamp"] = None
            item.update(status={})
            item["metadata"]["creationTimestamp"] = None
            item["spec"]["strategy"] = {}
            answer.append(manifests.dump(item))
        return "".join(f"{text}---\n" for text in answer)


@pytest.fixture
def go(monkeypatch, tmp_path):
    source = tmp_path / "web.yaml"

    def run(world, tool, *objects, check=False, **options):
        source.write_text("---\n".join(manifests.dump(item) for item in objects), encoding="utf-8")
        monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: world))
        monkeypatch.setattr(manual_injection, "InjectTool", tool)
        applied = []
        monkeypatch.setattr(apply, "core", lambda params, check: applied.append(params) or {"changed": True})
        given = {"src": str(source), "namespace": "demo", "image_prefixes": None, "istioctl": "istioctl"}
        given.update({"revision": None, "wait": True, "timeout": 1, **options})
        return manual_injection.core(given, check), applied

    return run


def test_command():
    assert manual_injection.argv_inject("istioctl", "/x/m.yaml", "default", "mesh", "lab") == [
        *["istioctl", "kube-inject", "-f", "/x/m.yaml", "--revision", "default", "--istioNamespace", "mesh"],
        *["--context", "lab"],
    ]


def test_only_what_makes_pods_is_shown_and_the_order_is_kept(go):
    tool = Tool()
    prefixes = {"old/": "new/"}
    result, (params,) = go(World(*usual()), tool, SERVICE, DEPLOYMENT, CRON, image_prefixes=prefixes)
    assert [item["kind"] for item in tool.seen] == ["Deployment", "CronJob"]
    assert {item["metadata"]["namespace"] for item in tool.seen} == {"demo"}
    assert tool.seen[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "new/app:1"
    assert tool.asked == [("default", SYSTEM)]
    assert tool.modes == [(0o600, 0o700)]
    assert [item["kind"] for item in params["definition"]] == ["Service", "Deployment", "CronJob"]
    assert (params["src"], params["state"], params["wait"], params["image_prefixes"]) == (None, "present", True, None)
    assert result["injected"] == ["Deployment demo/web", "CronJob demo/web"]


def test_what_the_typed_form_adds_is_dropped_and_the_answer_is_the_same_twice(go):
    first = go(World(*usual()), Tool(), DEPLOYMENT)[1][0]["definition"]
    assert "status" not in first[0] and "strategy" not in first[0]["spec"]
    assert "creationTimestamp" not in first[0]["metadata"]
    assert "creationTimestamp" not in first[0]["spec"]["template"]["metadata"]
    assert go(World(*usual()), Tool(), DEPLOYMENT)[1][0]["definition"] == first


def test_a_revision_is_asked_and_a_tag_or_unknown_one_refused(go):
    world, tool = World(*usual(), webhook("1-32"), webhook("1-32", tag="prod")), Tool()
    go(world, tool, DEPLOYMENT, revision="1-32")
    assert tool.asked == [("1-32", SYSTEM)]
    for name in ("prod", "1-33"):
        with pytest.raises(MeshopsError, match=f"no control plane of revision {name} .*; there are: 1-32, default"):
            go(world, tool, DEPLOYMENT, revision=name)


def test_nothing_injected_is_an_error(go):
    with pytest.raises(MeshopsError, match="put no sidecar into anything of"):
        go(World(*usual()), Tool(sidecars=False), DEPLOYMENT)
    assert go(World(*usual()), Tool(), SERVICE)[0]["injected"] == []


def test_an_answer_of_other_objects_is_an_error(go):
    tool = Tool()
    tool.inject = lambda *_args: manifests.dump(obj("Deployment", template=POD))
    with pytest.raises(MeshopsError, match="gave back 1 other objects than the 2 it got"):
        go(World(*usual()), tool, DEPLOYMENT, CRON)


def test_check_mode_before_the_mesh_the_cluster_istioctl_or_the_file(go):
    assert "no error" in go(World(), Tool(), DEPLOYMENT, check=True)[0]["warnings"][0]
    for world, tool in ((AbsentKube(), Tool()), (World(*usual()), Tool(version=None))):
        result, applied = go(world, tool, DEPLOYMENT, check=True)
        assert (result["changed"], applied) == (True, [])
    with pytest.raises(IstioctlMissing):
        go(World(*usual()), Tool(version=None), DEPLOYMENT)
    assert go(World(), Tool(), DEPLOYMENT, check=True, src="/nowhere")[0]["changed"] is True
    with pytest.raises(MeshopsError, match="too old"):
        go(World(*usual()), Tool(version="1.20.1"), DEPLOYMENT)
