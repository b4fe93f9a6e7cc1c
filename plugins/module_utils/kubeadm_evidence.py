# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: collects kubeadm.Evidence from a node's disk and its API server. Reads only."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from ansible_collections.meshops.istio.plugins.module_utils import kubeadm
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_files import (
    Kubeconfig,
    etcd_directory,
    parse_kubeconfig,
    pem_blocks,
    required_objects,
    spki_hash,
)
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_system import Result, System

HOME = "/etc/kubernetes"
PKI = f"{HOME}/pki"
ADMIN, KUBELET, BOOTSTRAP = (f"{HOME}/{name}.conf" for name in ("admin", "kubelet", "bootstrap-kubelet"))
_CONFS = ("admin", "super-admin", "kubelet", "controller-manager", "scheduler")
_CAS = ("ca", "front-proxy-ca", "etcd/ca")
_LEAVES = (
    "apiserver",
    "apiserver-kubelet-client",
    "apiserver-etcd-client",
    "front-proxy-client",
    "etcd/server",
    "etcd/peer",
    "etcd/healthcheck-client",
)
_ASK = ("kubectl", "--request-timeout=10s", "get", "--ignore-not-found", "-o", "json")


def _pair(system: System, name: str) -> str:
    """absent | whole | half | mixed, for the certificate and the key of that name below the pki directory."""
    certificate, key = (system.read(f"{PKI}/{name}.{end}") for end in ("crt", "key"))
    if certificate is None and key is None:
        return "absent"
    if key is None:
        return "mixed"  # kubeadm writes the key first
    if certificate is None or not pem_blocks(certificate) or not pem_blocks(key):
        return "half"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(system.path(f"{PKI}/{name}.crt"), system.path(f"{PKI}/{name}.key"), password=lambda: "")
    except (ssl.SSLError, ValueError):
        return "mixed"
    return "whole"


def _conf(system: System, path: str) -> Optional[Kubeconfig]:
    conf = parse_kubeconfig(system.read(path), system.read(f"{PKI}/ca.crt"))
    if conf and conf.credential and not pem_blocks(system.read(conf.credential) or ""):
        return conf._replace(whole=False)
    return conf


def _broken(system: System, ca_hash: str) -> tuple[list[str], list[str]]:
    """(files of a CA, files derived from one) that kubeadm would stumble over; it makes what is wholly absent."""
    states = {name: _pair(system, name) for name in (*_CAS, *_LEAVES)}
    authorities = [f"{PKI}/{name}.crt" for name in _CAS if states[name] not in ("absent", "whole")]
    private, public = (system.read(f"{PKI}/sa.{end}") for end in ("key", "pub"))
    if (private is None) != (public is None) or not all(
        pem_blocks(text or "") for text in (private, public) if text is not None
    ):
        authorities.append(f"{PKI}/sa.key")
    leaves = [
        f"{PKI}/{name}.{end}"
        for name in _LEAVES
        if states[name] not in ("absent", "whole")
        for end in ("crt", "key")
        if system.read(f"{PKI}/{name}.{end}") is not None
    ]
    for name in _CONFS:
        conf = _conf(system, f"{HOME}/{name}.conf")
        strange = conf and name != "kubelet" and ca_hash and conf.ca_hash != ca_hash
        if conf and (strange or not conf.whole):
            leaves.append(f"{HOME}/{name}.conf")
    return authorities, leaves


def _has_traces(system: System) -> bool:
    """Whether a kubeadm init was begun here. A worker's pki holds ca.crt and nothing else."""
    pki = {name for name in system.names(PKI) if name not in ("ca.crt", "etcd")} | set(system.names(f"{PKI}/etcd"))
    confs = any(system.read(f"{HOME}/{name}.conf") is not None for name in _CONFS if name != "kubelet")
    return bool(pki) or confs or any(name.endswith(".yaml") for name in system.names(f"{HOME}/manifests"))


def _kubectl(system: System, conf: str, *what: str) -> Result:
    # kubectl's discovery cache would be written to root's home otherwise
    with tempfile.TemporaryDirectory(prefix="meshops-") as cache:
        return system.run([*_ASK, f"--kubeconfig={system.path(conf)}", f"--cache-dir={cache}", *what], timeout=40)


def _ask(system: System, node: str, control_plane: bool, conf: str, config: Iterable[dict]) -> kubeadm.Api:
    wanted = required_objects(config) if control_plane else []
    name = f"nodes/{node}"
    done = _kubectl(system, conf, "-n", "kube-system", name, *wanted)
    api = kubeadm.api_of(node, done.rc == 0, done.out, done.err, wanted)
    if control_plane and api["answer"] == kubeadm.ANSWERED:
        done = _kubectl(system, conf, "-n", "kube-public", "configmaps/cluster-info")
        if done.rc != 0 or not done.out.strip():
            api["missing"].append("configmaps/cluster-info")
    return api


def gather(system: System, node: str, config: Iterable[dict] = ()) -> kubeadm.Evidence:
    """All evidence about this node; config: the kubeadm documents, which may move etcd's data or switch addons off."""
    config = list(config)
    etcd, manifests = etcd_directory(config), [Path(name).stem for name in system.names(f"{HOME}/manifests")]
    data = bool(system.names(f"{etcd}/member")) if etcd else "kube-apiserver" in manifests
    control_plane = data or _has_traces(system)
    state = _pair(system, "ca")
    ca_hash = spki_hash(system.read(f"{PKI}/ca.crt") or "") if state == "whole" else ""
    broken_ca, broken = _broken(system, ca_hash) if control_plane else ([], [])
    kubelet, admin = _conf(system, KUBELET), _conf(system, ADMIN)
    conf = ADMIN if control_plane and admin and admin.whole else KUBELET if kubelet and kubelet.whole else ""
    asked = bool(conf) and (not control_plane or conf == ADMIN)
    api = kubeadm.Api(answer=kubeadm.UNASKED, error="", node=False, label=False, missing=[])
    if asked:
        api = _ask(system, node, control_plane, conf, config)
    config_file = system.read("/var/lib/kubelet/config.yaml") is not None
    worker = kubelet is not None or config_file or system.read(BOOTSTRAP) is not None or state != "absent"
    return kubeadm.Evidence(
        node=node,
        ca=state,
        ca_hash=ca_hash,
        broken_ca=broken_ca,
        broken=broken,
        control_plane=control_plane,
        worker=worker and not control_plane,
        data=data,
        etcd_used=bool(etcd and system.names(etcd)),
        manifests=manifests,
        kubelet_config=config_file,
        admin=bool(admin and admin.whole),
        kubelet=_kubelet(kubelet),
        api=api,
    )


def _kubelet(conf: Optional[Kubeconfig]) -> Optional[kubeadm.Kubelet]:
    if conf is None:
        return None
    return kubeadm.Kubelet(
        server=conf.server, ca_hash=conf.ca_hash, whole=conf.whole, rotates=bool(conf.credential and conf.whole)
    )


def joined_ca(evidence: kubeadm.Evidence) -> str:
    """The CA that this node trusts: its own on a control plane, that of kubelet.conf on a worker, "" on a new node."""
    return evidence["ca_hash"] if evidence["control_plane"] else (evidence["kubelet"] or {}).get("ca_hash", "")
