# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic tasks as a playbook has them, run on a fake cluster."""

from __future__ import annotations

import pytest
from fake_cluster import FakeKube
from traffic_objects import pod, service, version

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import (
    fault,
    match,
    mirror,
    policy,
    rollback,
    split,
    subset,
)

CORES = {
    "split": split,
    "match": match,
    "mirror": mirror,
    "fault": fault,
    "subset": subset,
    "policy": policy,
    "rollback": rollback,
}
JASON = {"headers": {"end-user": "jason"}}


class Tasks:
    """Runs tasks of the modules on one cluster, as AnsibleModule would hand them their options."""

    def __init__(self, kube):
        self.kube = kube

    def run(self, module, check_mode=False, **options):
        core = CORES[module]
        params = {name: spec.get("default") for name, spec in core.ARGS.items()}
        assert set(options) <= set(params), "an option of another module"
        for name, value in options.items():
            known = core.ARGS[name].get("options")
            params[name] = {**{key: spec.get("default") for key, spec in known.items()}, **value} if known else value
        result = core.core({**params, "host": params["host"] or "reviews.bookinfo"}, check_mode, "t")
        return {**result, "diff": result["diff"]()}

    def refusal(self, module, **options):
        """The sentence, which is the same in check mode; nothing is written or tried."""
        self.kube.forget()
        found = set()
        for check_mode in (True, False):
            with pytest.raises(MeshopsError) as caught:
                self.run(module, check_mode, **options)
            found.add(str(caught.value))
        assert self.kube.writes == self.kube.dry_runs == []
        (text,) = found
        return text


def cluster(*objects):
    """A Service with three versions and a client with a sidecar."""
    return FakeKube(service(), version("v1"), version("v2"), version("v3"), pod("client", proxy="sidecar"), *objects)


def connect(monkeypatch, kube):
    monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: kube))
    return Tasks(kube)
