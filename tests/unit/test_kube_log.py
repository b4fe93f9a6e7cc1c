# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's log, which is text and no JSON, from an API server of a few lines."""

from __future__ import annotations

import pytest
from test_kube import Api, status, write_kubeconfig

from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, Kube


@pytest.fixture
def api():
    server = Api()
    yield server
    server.close()


def test_log(api, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    kube = Kube(write_kubeconfig(tmp_path / "config", api.url))
    api.answers = [(200, "no JSON at all", {})]
    assert "no JSON at all" in kube.log("demo", "web-1", "web", 5, previous=True)
    assert api.seen[-1][:3] == (
        "GET",
        "/api/v1/namespaces/demo/pods/web-1/log",
        {"container": "web", "tailLines": "5", "previous": "true"},
    )
    api.answers = [status(403, 'User "u" cannot get resource "pods/log" in API group "" in the namespace "demo"')]
    with pytest.raises(Forbidden, match=r"Cannot read the log of pod demo/web-1: user u may not get pods/log"):
        kube.log("demo", "web-1", "web", 5)
