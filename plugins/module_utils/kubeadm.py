# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what state is this node in, and what brings it to the wanted one. Pure.

A cluster has one certificate authority for all its life. While no etcd has written data, no API server has ever served,
so half-made leftovers may go and everything may start again. Once there is data, its CA is kept whatever happens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_files import mask

ABSENT = "absent"
HALF_INITIALISED = "half-initialised"
INITIALISED = "initialised"
HALF_JOINED = "half-joined"
JOINED = "joined"
FOREIGN = "foreign"

ANSWERED, DENIED, UNREACHABLE, UNASKED = "answered", "denied", "unreachable", "unasked"
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
_RESET = "Run playbooks/reset.yml on it if it may be wiped, then start again."


class Api(TypedDict):
    """answer: one of the four words above; error: the client's words; node, label: seen there; missing: objects."""

    answer: str
    error: str
    node: bool
    label: bool
    missing: list[str]


class Kubelet(TypedDict):
    """kubelet.conf: ca_hash of the CA it trusts; whole: its credential is there; rotates: the kubelet renews it."""

    server: str
    ca_hash: str
    whole: bool
    rotates: bool


class Evidence(TypedDict):
    """What is on disk and what the API says.

    ca: absent, whole, half (what a killed kubeadm leaves: no certificate, or a truncated file) or mixed (certificate
    without its key, or of another key: never made by kubeadm). broken_ca, broken: files that kubeadm could not reuse,
    of a CA or derived from one. control_plane, worker: traces of that kind. data: an API server may have served.
    etcd_used: the etcd directory is not empty. manifests: names of static pods. kubelet: None without kubelet.conf.
    """

    node: str
    ca: str
    ca_hash: str
    broken_ca: list[str]
    broken: list[str]
    control_plane: bool
    worker: bool
    data: bool
    etcd_used: bool
    manifests: list[str]
    kubelet_config: bool
    admin: bool
    kubelet: Kubelet | None
    api: Api


class Action(NamedTuple):
    """One thing to do. kind: remove, reset, init, join; argv: the command with CONFIG for its file; paths: go first."""

    kind: str
    text: str
    argv: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Plan(NamedTuple):
    """state before, what to do in this order, and a sentence instead when it must not be done."""

    state: str
    actions: tuple[Action, ...] = ()
    refusal: str = ""


CONFIG = "{config}"


def api_of(name: str, ok: bool, output: str, error: str, wanted: Iterable[str]) -> Api:
    """The answer of `kubectl get -o json --ignore-not-found nodes/NAME type/name...` about one node.

    ok: rc was 0. wanted: the objects asked for besides the node, as resource.group/name: missing unless returned.
    """
    if not ok:
        denied = re.search(r"Unauthorized|[Ff]orbidden|must be logged in|x509|certificate", error)
        return Api(
            answer=DENIED if denied else UNREACHABLE, error=_one_line(error), node=False, label=False, missing=[]
        )
    found = json.loads(output) if output.strip() else {}
    items = found.get("items", [found]) if found else []
    kinds = {"ConfigMap": "configmaps", "Service": "services"}
    kinds.update({"Deployment": "deployments.apps", "DaemonSet": "daemonsets.apps"})
    seen = {f"{kinds.get(item.get('kind', ''), '')}/{item['metadata']['name']}" for item in items}
    node = next((i for i in items if i.get("kind") == "Node" and i["metadata"]["name"] == name), None)
    labels = (node or {}).get("metadata", {}).get("labels") or {}
    missing = [entry for entry in wanted if entry not in seen]
    return Api(answer=ANSWERED, error="", node=node is not None, label=CONTROL_PLANE_LABEL in labels, missing=missing)


def _one_line(text: str) -> str:
    """The last sentence that a client said, without klog's prefix, times and tokens."""
    lines = [line.strip() for line in mask(text).splitlines() if line.strip()]
    return re.sub(r"^[EWIF]\d{4} .*?\] ", "", lines[-1])[:300] if lines else "no answer"


def classify(evidence: Evidence, cluster_ca: str = "") -> str:
    """One of the six states. cluster_ca: sha256:... of the cluster that the node shall belong to, "" if not known.

    joined without an answer of the API is an assumption in the node's favour; plan() does not build on it.
    """
    kubelet, api = evidence["kubelet"], evidence["api"]
    if evidence["control_plane"]:
        mine = evidence["ca_hash"]
        strange = kubelet and kubelet["ca_hash"] and mine and kubelet["ca_hash"] != mine
        if strange or (cluster_ca and mine and mine != cluster_ca):
            return FOREIGN
        return INITIALISED if _initialised(evidence) else HALF_INITIALISED
    if kubelet and kubelet["ca_hash"] and cluster_ca and kubelet["ca_hash"] != cluster_ca:
        return FOREIGN
    if kubelet and kubelet["whole"]:
        return HALF_JOINED if api["answer"] == ANSWERED and not api["node"] else JOINED
    return HALF_JOINED if evidence["worker"] else ABSENT


def _initialised(evidence: Evidence) -> bool:
    api, kubelet = evidence["api"], evidence["kubelet"]
    on_disk = evidence["admin"] and evidence["ca"] == "whole" and bool(kubelet and kubelet["whole"])
    return on_disk and api["answer"] == ANSWERED and api["node"] and api["label"] and not api["missing"]


def settling(evidence: Evidence) -> bool:
    """Whether a running kubelet may still complete this by itself: its API server starts, or it registers its node."""
    api, kubelet = evidence["api"], evidence["kubelet"]
    starting = evidence["control_plane"] and evidence["admin"] and bool(evidence["manifests"])
    if api["answer"] == UNREACHABLE:
        return starting or bool(kubelet and kubelet["whole"])
    return api["answer"] == ANSWERED and not api["node"] and bool(kubelet and kubelet["whole"])


def foreign_sentence(evidence: Evidence) -> str:
    """Why a node of another cluster is left alone."""
    server = (evidence["kubelet"] or {}).get("server") or "one with another certificate authority"
    return f"Node {evidence['node']} belongs to another cluster ({server}). {_RESET}"


def leftovers(evidence: Evidence, port: int = 6443, etcd: str = "/var/lib/etcd") -> list[str]:
    """Names of the preflight checks that fail only because of our own half-done init (kubeadm: preflight/checks.go)."""
    ports = {
        "kube-apiserver": [port],
        "kube-controller-manager": [10257],
        "kube-scheduler": [10259],
        "etcd": [2379, 2380],
    }
    names = []
    for manifest in evidence["manifests"]:
        if manifest in ports:
            names.append(f"FileAvailable--etc-kubernetes-manifests-{manifest}.yaml")
            names += [f"Port-{number}" for number in ports[manifest]]
    if evidence["etcd_used"]:
        names.append(f"DirAvailable-{etcd.replace('/', '-')}")
    if evidence["kubelet_config"]:
        names.append("Port-10250")
    return names


def _command(verb: str, ignored: Iterable[str]) -> tuple[str, ...]:
    argv = ["kubeadm", verb, "--config", CONFIG]
    if verb == "init":
        argv.append("--skip-token-print")
    names = sorted(set(ignored))
    return (*argv, f"--ignore-preflight-errors={','.join(names)}") if names else tuple(argv)


def _reset() -> Action:
    # The CA's certificate goes first: whatever a killed reset leaves is then known as leftovers, not as somebody's CA.
    return Action("reset", "kubeadm reset --force", ("kubeadm", "reset", "--force"), ("/etc/kubernetes/pki/ca.crt",))


def plan_init(evidence: Evidence, ignored: Iterable[str] = (), port: int = 6443, etcd: str = "/var/lib/etcd") -> Plan:
    """How this node becomes the first control plane."""
    state, node, ignored = classify(evidence), evidence["node"], list(ignored)
    if state == FOREIGN:
        return Plan(state, refusal=foreign_sentence(evidence))
    if state == JOINED:
        server = (evidence["kubelet"] or {}).get("server", "")
        return Plan(
            state, refusal=f"Node {node} is a worker of {server}, so it cannot become a control plane. {_RESET}"
        )
    if state == INITIALISED:
        return Plan(state)
    init = Action("init", "kubeadm init", _command("init", ignored))
    if state == HALF_JOINED:
        return Plan(state, (_reset(), init))
    if state == HALF_INITIALISED or evidence["data"]:
        return _plan_resume(evidence, ignored, port, etcd)
    return Plan(state, (init,))


def _plan_resume(evidence: Evidence, ignored: list[str], port: int, etcd: str) -> Plan:
    refusal = _refuse_resume(evidence, etcd)
    if refusal:
        return Plan(HALF_INITIALISED, refusal=refusal)
    if not evidence["data"] and (evidence["ca"] != "whole" or evidence["broken_ca"] or evidence["broken"]):
        return Plan(HALF_INITIALISED, (_reset(), Action("init", "kubeadm init", _command("init", ignored))))
    names = [*ignored, *leftovers(evidence, port, etcd)]
    resume = Action("init", "kubeadm init, resumed with the existing CA", _command("init", names))
    if not evidence["broken"]:
        return Plan(HALF_INITIALISED, (resume,))
    broken = tuple(evidence["broken"])
    return Plan(HALF_INITIALISED, (Action("remove", f"remove broken {', '.join(broken)}", paths=broken), resume))


def _refuse_resume(evidence: Evidence, etcd: str) -> str:
    node, api, kubelet = evidence["node"], evidence["api"], evidence["kubelet"]
    if evidence["ca"] == "mixed":
        return (
            f"Node {node} has /etc/kubernetes/pki/ca.crt without the key that belongs to it, which no stopped kubeadm "
            f"leaves behind. Put the right ca.key beside it. {_RESET}"
        )
    if evidence["data"] and (evidence["ca"] != "whole" or evidence["broken_ca"]):
        files = ", ".join(evidence["broken_ca"]) or "/etc/kubernetes/pki/ca.crt and ca.key"
        return (
            f"Node {node} keeps a cluster's data in {etcd or 'an external etcd'}, but {files} is missing or broken, "
            f"and a second CA would lose that cluster. Restore the files from a backup. {_RESET}"
        )
    # Once the kubelet renews its own credential, only addons can be missing: this cluster served, so nothing is redone.
    if kubelet and kubelet["rotates"] and api["answer"] in (UNREACHABLE, DENIED):
        return (
            f"Node {node} was initialised, but its API server {kubelet['server']} gives no usable answer "
            f"({api['error']}). Look at `journalctl -u kubelet` and /var/log/containers there, then run again."
        )
    return ""


def plan_join(evidence: Evidence, cluster_ca: str, ignored: Iterable[str] = ()) -> Plan:
    """How this node becomes a worker of the cluster with that CA ("" in check mode, when there is no cluster yet)."""
    state, node = classify(evidence, cluster_ca), evidence["node"]
    kubelet, api = evidence["kubelet"], evidence["api"]
    if state == FOREIGN or (kubelet and kubelet["ca_hash"] and not cluster_ca):
        return Plan(FOREIGN, refusal=foreign_sentence(evidence))
    if state in (INITIALISED, HALF_INITIALISED):
        text = (
            f"Node {node} is a control plane{'' if state == INITIALISED else ' that was begun'}, so it cannot join as "
        )
        return Plan(state, refusal=f"{text}a worker. Put it into the group control_plane. {_RESET}")
    if state == JOINED and api["answer"] != ANSWERED:
        server = (kubelet or {}).get("server", "")
        return Plan(
            state,
            refusal=f"Node {node} has joined {server}, which gives no usable answer ({api['error']}). Start that API "
            f"server, or reset this node with playbooks/reset.yml, then run again.",
        )
    if state == JOINED:
        return Plan(state)
    join = Action("join", "kubeadm join", _command("join", ignored))
    return Plan(state, (_reset(), join) if state == HALF_JOINED else (join,))


def failure(node: str, verb: str, output: str, rc: int = 1) -> str:
    """One sentence from what kubeadm printed: its preflight errors or its last words. rc below 0: a signal."""
    clean = mask(output)
    errors = [line.strip() for line in re.findall(r"\[ERROR [^\n]+", clean)]
    words = re.findall(r"(?m)^(?:error|no end within)\b[^\n]*", clean) or [_one_line(clean)]
    cause = f"it was killed by signal {-rc}" if rc < 0 else "; ".join(errors or words[-1:])
    again = "it resumes where it stopped" if verb == "init" else "it starts this step anew"
    advice = f"Correct that (`journalctl -u kubelet` may say more) and run again: {again}."
    return f"kubeadm {verb} on {node} failed: {cause.rstrip('.')[:1000]}. {advice}"
