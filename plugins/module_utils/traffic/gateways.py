# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the servers of an Istio Gateway that are ours, beside those of others. Pure.

Ours are known by the name of their port. No function changes its input; the very same object comes back when there is
nothing to change.
"""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves, model

KIND = "Gateway"
PREFIX = "meshops-"
HTTP, HTTPS = f"{PREFIX}http", f"{PREFIX}https"
SELECTOR = {"istio": "ingressgateway"}
PASSTHROUGH = "PASSTHROUGH"
MODES = ("SIMPLE", "MUTUAL", PASSTHROUGH)
MIN_PROTOCOLS = ("TLSV1_2", "TLSV1_3")
_TLS_PROTOCOLS = frozenset({"HTTPS", "TLS"})
_CA_SUFFIX = "-cacert"
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_EXAMPLES = "bookinfo.example.com, *.example.com, *, NAMESPACE/bookinfo.example.com or ./bookinfo.example.com"


@dataclass(frozen=True)
class Tls:
    """How TLS ends at the gateway: the Secret's name ("" for PASSTHROUGH), Istio's mode and its least version."""

    credential: str = ""
    mode: str = "SIMPLE"
    min_protocol: Optional[str] = None


@dataclass(frozen=True)
class Wish:
    """What a Gateway is to serve.

    http: port for plain requests, None for none; https: port used with `tls`, None is 443; redirect: plain requests
    are sent to TLS; selector: labels of the gateway's pods, None leaves those of a live object as they are.
    """

    name: str
    namespace: str
    hosts: tuple[str, ...]
    http: Optional[int] = 80
    https: Optional[int] = None
    tls: Optional[Tls] = None
    redirect: bool = False
    selector: Optional[Mapping[str, str]] = None

    def __str__(self) -> str:
        return f"{KIND} {self.namespace}/{self.name}"


def set_servers(live: Optional[Mapping[str, Any]], wish: Wish) -> Mapping[str, Any]:
    """Return the Gateway with the servers of the wish in place of those of ours; a new one when `live` is None.

    MeshopsError when the wish is wrong, or when it does not go together with the servers of somebody else.
    """
    wanted = _wanted(wish)
    if live is None:
        spec = {"selector": dict(wish.selector or SELECTOR), "servers": wanted}
        return model.new_object(KIND, wish.namespace, wish.name, spec)
    servers = _servers(live)
    for server in wanted:
        _refuse_clash(live, servers, server)
    rest = {server["port"]["name"]: server for server in wanted}
    result = [
        _merged(server, rest.pop(port_name(server))) if port_name(server) in rest else server
        for server in servers
        if not is_our_server(server) or port_name(server) in rest
    ]
    changes: dict[str, Any] = {"servers": [*result, *rest.values()], **_selector_change(live, servers, wish)}
    spec = model.spec_of(live)
    if all(key in spec and spec[key] == value for key, value in changes.items()):
        return live
    edited = copy.deepcopy(dict(live))
    edited["spec"] = {**model.dict_of(edited.get("spec")), **copy.deepcopy(changes)}
    return edited


def remove_servers(live: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """Return the Gateway without the servers of ours; None when it is to be deleted, or is not there.

    MeshopsError when an object of somebody else would have no server left.
    """
    if live is None:
        return None
    servers = _servers(live)
    kept = [server for server in servers if not is_our_server(server)]
    if not kept and model.is_ours(live):
        return None
    if len(kept) == len(servers):
        return live
    if not kept:
        raise MeshopsError(
            f"{KIND} {model.label(live)} was not created by this collection and would have no server left, which Istio"
            " refuses. Delete the object, or give it another server first."
        )
    edited = copy.deepcopy(dict(live))
    edited["spec"]["servers"] = copy.deepcopy(kept)
    return edited


def port_name(server: Any) -> str:
    """Return the name of a server's port, "" without one."""
    return str(_port(server).get("name") or "")


def is_our_server(server: Any) -> bool:
    """Tell whether this collection made the server."""
    return port_name(server).startswith(PREFIX)


def selector_of(gateway: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of the pods that serve the Gateway; {} is every gateway."""
    return {str(key): str(value) for key, value in model.dict_of(model.spec_of(gateway).get("selector")).items()}


def overlaps(
    gateway: Mapping[str, Any], others: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Return a sentence for each server of another Gateway that Istio merges with one of ours and that differs in TLS.

    pods: those that serve the Gateway; without any, only an equal selector is known to mean the same ones.
    """
    mine = [server for server in _servers(gateway) if is_our_server(server)]
    labels = [model.dict_of(model.dict_of(pod.get("metadata")).get("labels")) for pod in pods]
    found = []
    for other in sorted(filter(model.is_object, others), key=model.label):
        selector = selector_of(other)
        same_pods = any(selector.items() <= pod.items() for pod in labels) or selector == selector_of(gateway)
        if model.label(other) == model.label(gateway) or not same_pods:
            continue
        for server in model.list_of(model.spec_of(other).get("servers")):
            for our in mine:
                shared = _hosts(our, gateway) & _hosts(server, other)
                if shared and _listener(our) == _listener(server) and not _same_tls(our, server):
                    found.append(
                        f"{KIND} {model.label(other)} selects the same pods as {model.label(gateway)} and has a server"
                        f" on port {_port(server).get('number')} for {', '.join(sorted(shared))} with other TLS"
                        " settings. Istio merges them, the older object wins. Give them other hosts or equal settings."
                    )
    return found


# --- the wish ---


def _wanted(wish: Wish) -> list[dict[str, Any]]:
    _check_ports(wish)
    hosts = _checked_hosts(wish)
    _check_selector(wish)
    servers: list[dict[str, Any]] = []
    if wish.http is not None:
        plain = {"port": {"number": wish.http, "name": HTTP, "protocol": "HTTP"}, "hosts": hosts}
        servers.append({**plain, "tls": {"httpsRedirect": True}} if wish.redirect else plain)
    if wish.tls:
        port = {"number": _https_port(wish), "name": HTTPS, "protocol": "HTTPS"}
        servers.append({"port": port, "hosts": list(hosts), "tls": _tls(wish, wish.tls)})
    return servers


def _https_port(wish: Wish) -> int:
    return 443 if wish.https is None else wish.https


def _check_ports(wish: Wish) -> None:
    if wish.http is None and not wish.tls:
        raise MeshopsError(f"{wish} would have no server: there is neither a plain port nor tls. Give one of them.")
    if wish.redirect and (wish.http is None or not wish.tls):
        lacks = "tls" if not wish.tls else "a plain port"
        raise MeshopsError(f"{wish} cannot redirect plain requests to TLS without {lacks}. Give it, or drop redirect.")
    ports = {"http_port": wish.http, "https_port": _https_port(wish) if wish.tls else None}
    for option, number in ports.items():
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 65536):
            raise MeshopsError(f"{option} of {wish} is {number!r}, which is no port from 1 to 65535. Correct it.")
    if wish.tls and wish.http == _https_port(wish):
        raise MeshopsError(f"{wish} has port {wish.http} for plain and for TLS requests. Choose another for one.")


def _checked_hosts(wish: Wish) -> list[str]:
    if not wish.hosts:
        raise MeshopsError(f"{wish} has no hosts. Give at least one: {_EXAMPLES}.")
    for host in wish.hosts:
        problem = host_problem(host)
        if problem:
            raise MeshopsError(f"The host {host!r} of {wish} {problem}. Write it as {_EXAMPLES}.")
    return list(dict.fromkeys(wish.hosts))


def host_problem(host: Any) -> str:
    """Return what is wrong with a host of a Gateway, "" when Istio takes it.

    (istio/istio pkg/config/validation/agent ValidateNamespaceSlashWildcardHostname)
    """
    if not isinstance(host, str):
        return "is no text"
    namespace, slash, name = host.rpartition("/")
    if slash and namespace not in ("*", ".") and not _NAMESPACE.fullmatch(namespace):
        return f"has the namespace {namespace!r}, which is no name of one"
    if name == "*":
        return ""
    labels = (name[2:] if name.startswith("*.") else name).split(".")
    problems = {
        "is empty": not name,
        "has no domain": "." not in name,
        "has a wildcard elsewhere than alone in front": "*" in "".join(labels),
        "is no host name": len(name) > 255 or not all(map(_LABEL.fullmatch, labels)),
        "ends with a number": labels[-1].isdecimal() and not _is_address(name),
    }
    return next((problem for problem, holds in problems.items() if holds), "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _check_selector(wish: Wish) -> None:
    if wish.selector is None:
        return
    if not wish.selector:
        raise MeshopsError(f"The selector of {wish} is empty, every gateway would serve it. Give labels, or drop it.")
    for key, value in wish.selector.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise MeshopsError(f"The label {key} in the selector of {wish} is {value!r}, no text. Put it in quotes.")


def _tls(wish: Wish, tls: Tls) -> dict[str, Any]:
    if tls.mode not in MODES:
        raise MeshopsError(f"The TLS mode of {wish} is {tls.mode!r}. Use one of {', '.join(MODES)}.")
    if tls.min_protocol is not None and tls.min_protocol not in MIN_PROTOCOLS:
        raise MeshopsError(
            f"The least TLS version of {wish} is {tls.min_protocol!r}. Use one of {', '.join(MIN_PROTOCOLS)}."
        )
    if tls.mode == PASSTHROUGH:
        if tls.credential or tls.min_protocol:
            raise MeshopsError(
                f"{wish} passes TLS through, so it can have neither a credential nor a least TLS version. Drop them."
            )
        return {"mode": tls.mode}
    _check_credential(wish, tls.credential)
    least = {"minProtocolVersion": tls.min_protocol} if tls.min_protocol else {}
    return {"mode": tls.mode, "credentialName": tls.credential, **least}


def _check_credential(wish: Wish, name: str) -> None:
    if not _SECRET.fullmatch(name):
        raise MeshopsError(
            f"The credential {name!r} of {wish} is no name of a Secret. Give the name alone: the Secret is read in the"
            " namespace of the gateway's pods."
        )
    if name.endswith(_CA_SUFFIX):
        raise MeshopsError(
            f"The credential {name} of {wish} ends with {_CA_SUFFIX}, by which Istio knows the certificates of"
            f" authorities. Name it {name[: -len(_CA_SUFFIX)]}, or give the Secret another name."
        )


# --- the live object ---


def _servers(gateway: Mapping[str, Any]) -> list[Any]:
    servers = model.spec_of(gateway).get("servers")
    if servers is None:
        return []
    if not isinstance(servers, list):
        raise MeshopsError(
            f"{KIND} {model.label(gateway)} has servers that are no list. Correct the object by hand first."
        )
    return servers


def _port(server: Any) -> Mapping[str, Any]:
    return model.dict_of(model.dict_of(server).get("port"))


def _protocol(server: Any) -> str:
    return str(_port(server).get("protocol") or "").upper()


def _listener(server: Any) -> tuple[Any, str]:
    # Istio makes one listener of each port and address
    return _port(server).get("number"), str(model.dict_of(server).get("bind") or "")


def _hosts(server: Any, gateway: Mapping[str, Any]) -> set[str]:
    """Return the hosts of a server as Istio compares them: `./x` has its namespace, `*/x` has none."""
    found = set()
    for host in model.list_of(model.dict_of(server).get("hosts")):
        namespace, slash, name = str(host).rpartition("/")
        if not slash or namespace == "*":
            found.add(name)
        else:
            found.add(f"{model.namespace_of(gateway) if namespace == '.' else namespace}/{name}")
    return found


def _same_tls(one: Any, other: Any) -> bool:
    settings = [
        {key: value for key, value in model.dict_of(model.dict_of(server).get("tls")).items() if value}
        for server in (one, other)
    ]
    return settings[0] == settings[1] and _protocol(one) == _protocol(other)


def _refuse_clash(live: Mapping[str, Any], servers: Iterable[Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a server beside one of somebody else in the same object that Istio would drop one of the two for."""
    for server in servers:
        if is_our_server(server) or _listener(server) != _listener(wanted):
            continue
        where = (
            f"{KIND} {model.label(live)} has the server {port_name(server) or '(without a name)'} of somebody else on"
            f" port {wanted['port']['number']}"
        )
        # several TLS servers share a port, the name asked for tells them apart
        both_tls = {_protocol(server), _protocol(wanted)} <= _TLS_PROTOCOLS
        if _protocol(server) != _protocol(wanted) and not both_tls:
            raise MeshopsError(
                f"{where} with protocol {_protocol(server) or '(none)'}, where {_protocol(wanted)} cannot be too."
                " Choose another port, or another name for this Gateway."
            )
        shared = _hosts(server, live) & _hosts(wanted, live)
        if both_tls and shared:
            raise MeshopsError(
                f"{where} for {', '.join(sorted(shared))} already; Istio takes only one TLS server for a host."
                " Remove it, or choose other hosts."
            )


def _selector_change(live: Mapping[str, Any], servers: Iterable[Any], wish: Wish) -> dict[str, Any]:
    if wish.selector is None or selector_of(live) == dict(wish.selector):
        return {}
    if not model.is_ours(live) or not all(map(is_our_server, servers)):
        shown = ", ".join(f"{key}={value}" for key, value in sorted(selector_of(live).items())) or "every gateway"
        raise MeshopsError(
            f"{wish} selects {shown}, and another selector would move the servers of somebody else with ours."
            " Leave selector out, or choose another name for this Gateway."
        )
    return {"selector": dict(wish.selector)}


def _merged(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a server of ours with the wanted fields; what means the same stays as it is written."""
    port = dict(_port(live))
    port["number"] = leaves.merge(port.get("number"), wanted["port"]["number"])
    if _protocol(live) != _protocol(wanted):
        port["protocol"] = wanted["port"]["protocol"]
    result = {**live, "port": port}
    hosts = model.list_of(live.get("hosts"))
    if not all(isinstance(host, str) for host in hosts) or set(hosts) != set(wanted["hosts"]):
        result["hosts"] = wanted["hosts"]
    tls = _merged_tls(model.dict_of(live.get("tls")), wanted)
    if tls != model.dict_of(live.get("tls")):
        result["tls"] = tls
        if not tls:
            del result["tls"]
    return result


def _merged_tls(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    ours: tuple[str, ...] = ("httpsRedirect",)
    if "mode" in wanted.get("tls", {}):
        ours = ("mode", "credentialName", "minProtocolVersion")
    # a field that says what its absence says stays
    silent = (None, "", False, "TLS_AUTO")
    kept = {key: value for key, value in live.items() if key not in ours or key in wanted.get("tls", {})}
    kept.update({key: live[key] for key in ours if key in live and live[key] in silent})
    return {**kept, **wanted.get("tls", {})}
