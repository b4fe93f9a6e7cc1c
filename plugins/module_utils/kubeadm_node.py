# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module kubeadm_node on the node itself."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from typing import Optional

from ansible_collections.meshops.istio.plugins.module_utils import kubeadm, kubeadm_reset
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_evidence import gather, joined_ca
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_files import (
    bind_port,
    document,
    etcd_directory,
    render,
    with_discovery,
)
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_system import System

_SETTLE = 90  # seconds that a running kubelet is given to bring its API server up, or to register its node


def core(params: dict, check_mode: bool, system: Optional[System] = None) -> dict:
    """Brings this node to params["state"]; returns the module's result. Raises MeshopsError with one sentence."""
    system = system or System()
    write = params["state"] != "probed" and not check_mode
    node = params["name"] or _name_in(params["config"]) or socket.gethostname()
    with system.lock(params["timeout"], write):
        work: Callable[[System, dict, str, bool], dict] = {
            "probed": _probe,
            "reset": _reset,
            "initialized": _converge,
            "joined": _converge,
        }[params["state"]]
        return work(system, params, node.lower(), check_mode)


def _name_in(config: list[dict]) -> str:
    for kind in ("InitConfiguration", "JoinConfiguration"):
        name = (document(config, kind).get("nodeRegistration") or {}).get("name")
        if name:
            return name
    return ""


def _result(evidence: kubeadm.Evidence, before: str, after: str, actions: list[str]) -> dict:
    node = evidence["node"]
    return {
        "changed": bool(actions),
        "node": node,
        "node_state": after,
        "node_state_before": before,
        "ca_hash": joined_ca(evidence),
        "server": (evidence["kubelet"] or {}).get("server", ""),
        "api": evidence["api"]["answer"],
        "actions": actions,
        "removed": [],
        "diff": {"before": f"node {node}: {before}\n", "after": f"node {node}: {after}\n"},
    }


def _versions(system: System) -> dict[str, str]:
    """Installed versions without the v, "" for what is not installed."""
    commands = {
        "kubeadm": ["kubeadm", "version", "-o", "short"],
        "kubelet": ["kubelet", "--version"],
        "kubectl": ["kubectl", "version", "--client", "-o", "json"],
    }
    versions = {}
    for name, argv in commands.items():
        found = re.search(r"v(\d+\.\d+\.\d+\S*?)[\"\s,]", system.run(argv).out + "\n") if system.have(name) else None
        versions[name] = found.group(1) if found else ""
    return versions


def _probe(system: System, params: dict, node: str, check_mode: bool) -> dict:
    evidence = gather(system, node, params["config"])
    state = kubeadm.classify(evidence, params["ca_hash"])
    return {**_result(evidence, state, state, []), "versions": _versions(system)}


def _settled(system: System, node: str, params: dict) -> kubeadm.Evidence:
    """The evidence, once a kubelet that is running had its time to finish what it does."""
    deadline = system.clock() + min(params["timeout"], _SETTLE)
    while True:
        evidence = gather(system, node, params["config"])
        running = kubeadm.settling(evidence) and system.run(["systemctl", "is-active", "--quiet", "kubelet"]).rc == 0
        if not running or system.clock() >= deadline:
            return evidence
        system.sleep(1)


def _plan(evidence: kubeadm.Evidence, params: dict) -> kubeadm.Plan:
    config, ignored = params["config"], params["ignore_preflight_errors"]
    if params["state"] == "initialized":
        return kubeadm.plan_init(evidence, ignored, bind_port(config), etcd_directory(config))
    return kubeadm.plan_join(evidence, params["ca_hash"], ignored)


def _converge(system: System, params: dict, node: str, check_mode: bool) -> dict:
    evidence = _settled(system, node, params)
    plan = _plan(evidence, params)
    if plan.refusal:
        raise MeshopsError(plan.refusal)
    wanted = kubeadm.INITIALISED if params["state"] == "initialized" else kubeadm.JOINED
    texts = [action.text for action in plan.actions]
    if not plan.actions or check_mode:
        return _result(evidence, plan.state, wanted, texts)
    _refuse_unready(system, params, node)
    config = with_discovery(params["config"], params["token"] or "", params["ca_hash"])
    with system.config_file(render(config)) as path:
        for action in plan.actions:
            _perform(system, action, path, params, node)
    evidence = _proved(system, params, node, wanted)
    return _result(evidence, plan.state, wanted, texts)


def _refuse_unready(system: System, params: dict, node: str) -> None:
    for program in ("kubeadm", "kubelet", "kubectl"):
        if not system.have(program):
            raise MeshopsError(f"{program} is not installed on {node}. Install it first (role meshops.istio.kubeadm).")
    kind = "InitConfiguration" if params["state"] == "initialized" else "JoinConfiguration"
    if not document(params["config"], kind):
        raise MeshopsError(f"config holds no {kind}, which {node} needs to be {params['state']}. Add that document.")
    if kind == "JoinConfiguration" and not params["ca_hash"]:
        raise MeshopsError(
            f"ca_hash is empty, so {node} could not tell its own cluster from another. "
            "Give the ca_hash that this module returns for the first control plane."
        )


def _perform(system: System, action: kubeadm.Action, config: str, params: dict, node: str) -> None:
    for path in action.paths:
        system.remove(path)
    if action.kind == "reset":
        kubeadm_reset.kubeadm_reset(system, node, params["cri_socket"], params["timeout"])
    elif action.argv:
        argv = [config if word == kubeadm.CONFIG else word for word in action.argv]
        done = system.run(argv, timeout=params["timeout"])
        if done.rc != 0:
            raise MeshopsError(kubeadm.failure(node, action.kind, done.err or done.out, done.rc))


def _proved(system: System, params: dict, node: str, wanted: str) -> kubeadm.Evidence:
    """kubeadm says it is done; the disk and the API have to say so as well."""
    deadline = system.clock() + _SETTLE
    while True:
        evidence = gather(system, node, params["config"])
        state = kubeadm.classify(evidence, params["ca_hash"])
        if state == wanted and evidence["api"]["answer"] == kubeadm.ANSWERED:
            return evidence
        if system.clock() >= deadline:
            api = evidence["api"]
            lacking = ", ".join(api["missing"]) or api["error"] or "the Node object"
            raise MeshopsError(
                f"kubeadm ended well on {node}, but the node is {state} ({json.dumps(lacking)}). "
                "Look at `journalctl -u kubelet` there and run again."
            )
        system.sleep(1)


def _reset(system: System, params: dict, node: str, check_mode: bool) -> dict:
    evidence = gather(system, node, params["config"])
    before = kubeadm.classify(evidence)
    ca_hash = params["ca_hash"] or joined_ca(evidence)
    where = (params["paths"], params["kubeconfigs"], ca_hash)
    removed = [item.text for item in kubeadm_reset.leftovers(system, *where)]
    actions = ["kubeadm reset --force"] if before != kubeadm.ABSENT and system.have("kubeadm") else []
    if not check_mode:
        # first what kubeadm's own reset makes unrecognisable: whose copies the users' kubeconfigs are
        for item in kubeadm_reset.leftovers(system, (), params["kubeconfigs"], ca_hash):
            if item.target in params["kubeconfigs"]:
                system.remove(item.target)
        if actions:
            kubeadm_reset.kubeadm_reset(system, node, params["cri_socket"], params["timeout"])
        kubeadm_reset.remove_all(system, *where)
    actions += [f"remove {text}" for text in removed]
    result = _result(evidence, before, kubeadm.ABSENT, actions)
    listed = "".join(f"{text}\n" for text in removed)
    result["diff"] = {"before": result["diff"]["before"] + listed, "after": result["diff"]["after"]}
    result["removed"] = removed
    return result
