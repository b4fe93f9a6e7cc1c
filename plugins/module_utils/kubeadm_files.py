# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the files that kubeadm leaves on a node say. Pure: text in, facts out.

A node may have neither PyYAML nor a cryptography library, so both formats are read as far as kubeadm writes them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----")
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_CERTIFICATE_KEY = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")


class Kubeconfig(NamedTuple):
    """What one kubeconfig says: server (URL), ca_hash (sha256:... or ""), credential (path of a file, or "")."""

    server: str
    ca_hash: str
    credential: str
    whole: bool


def pem_blocks(text: str) -> list[tuple[str, bytes]]:
    """All complete PEM blocks of a text as (label, DER); a truncated block is left out."""
    blocks = []
    for label, body in _PEM.findall(text):
        try:
            blocks.append((label, base64.b64decode("".join(body.split()), validate=True)))
        except (binascii.Error, ValueError):
            continue
    return blocks


def _element(der: bytes, start: int) -> tuple[int, int, int]:
    """(tag, offset of the content, offset behind the element) of the DER element at start."""
    tag, length, body = der[start], der[start + 1], start + 2
    if length & 0x80:
        count = length & 0x7F
        length, body = int.from_bytes(der[body : body + count], "big"), body + count
    return tag, body, body + length


def spki_hash(certificate_pem: str) -> str:
    """sha256:<hex> of the first certificate's SubjectPublicKeyInfo, as kubeadm's caCertHashes want it (RFC 7469).

    Returns "" when the text holds no complete certificate.
    """
    der = next((data for label, data in pem_blocks(certificate_pem) if label == "CERTIFICATE"), b"")
    try:
        _tag, certificate, _end = _element(der, 0)
        tag, offset, _end = _element(der, certificate)
        if _element(der, offset)[0] == 0xA0:  # the optional version
            offset = _element(der, offset)[2]
        for _field in ("serial", "signature", "issuer", "validity", "subject"):
            offset = _element(der, offset)[2]
        tag, _body, end = _element(der, offset)
    except IndexError:
        return ""
    if tag != 0x30 or end > len(der):
        return ""
    return f"sha256:{hashlib.sha256(der[offset:end]).hexdigest()}"


def _value(text: str, key: str) -> str:
    found = re.search(rf"^[\s-]*{re.escape(key)}:[ \t]*(\S+)[ \t]*$", text, re.MULTILINE)
    return found.group(1).strip("\"'") if found else ""


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return ""


def parse_kubeconfig(text: Optional[str], ca_file: Optional[str] = None) -> Optional[Kubeconfig]:
    """Reads a kubeconfig of one cluster and one user, as kubeadm and the kubelet write them.

    ca_file: the text of the file that certificate-authority names, when it is not embedded. None for no file.
    whole is false when the file is truncated: no server, no CA, or no complete credential.
    """
    if text is None:
        return None
    server = _value(text, "server")
    authority = _decoded(_value(text, "certificate-authority-data")) or (ca_file or "")
    ca_hash = spki_hash(authority)
    credential = _value(text, "client-certificate")
    embedded = [_decoded(_value(text, key)) for key in ("client-certificate-data", "client-key-data")]
    credible = bool(credential) or bool(_value(text, "token")) or all(pem_blocks(part) for part in embedded)
    return Kubeconfig(server, ca_hash, credential, bool(server and ca_hash and credible))


def mask(text: str) -> str:
    """The text without bootstrap tokens and certificate keys."""
    return _CERTIFICATE_KEY.sub("******", _TOKEN.sub("******", text))


def document(config: Iterable[dict], kind: str) -> dict:
    """The kubeadm document of that kind, {} when there is none."""
    return next((entry for entry in config if entry.get("kind") == kind), {})


def render(config: Iterable[dict]) -> str:
    """The documents as one file that kubeadm reads: JSON is YAML, and needs no library on the node."""
    return "".join(f"---\n{json.dumps(entry, indent=1, sort_keys=True)}\n" for entry in config)


def with_discovery(config: Iterable[dict], token: str, ca_hash: str) -> list[dict]:
    """The documents with token and CA hash in JoinConfiguration.discovery.bootstrapToken; the input stays as it was."""
    result = []
    for entry in config:
        if entry.get("kind") != "JoinConfiguration":
            result.append(entry)
            continue
        discovery = dict(entry.get("discovery") or {})
        bootstrap = dict(discovery.get("bootstrapToken") or {})
        if token:
            bootstrap["token"] = token
        if ca_hash:
            bootstrap["caCertHashes"] = [ca_hash]
        discovery["bootstrapToken"] = bootstrap
        result.append({**entry, "discovery": discovery})
    return result


def bind_port(config: Iterable[dict]) -> int:
    """The API server's port in the InitConfiguration, 6443 by default."""
    endpoint = document(config, "InitConfiguration").get("localAPIEndpoint") or {}
    return int(endpoint.get("bindPort") or 6443)


def etcd_directory(config: Iterable[dict]) -> str:
    """Where the local etcd keeps its data; "" when the cluster uses an external etcd."""
    etcd = document(config, "ClusterConfiguration").get("etcd") or {}
    if etcd.get("external"):
        return ""
    return (etcd.get("local") or {}).get("dataDir") or "/var/lib/etcd"


def required_objects(config: Iterable[dict]) -> list[str]:
    """kube-system objects that a finished `kubeadm init` leaves, as type/name, without addons that are switched off."""
    cluster, skipped = document(config, "ClusterConfiguration"), document(config, "InitConfiguration").get("skipPhases")
    skipped = set(skipped or [])
    objects = ["configmaps/kubeadm-config", "configmaps/kubelet-config"]
    dns_off = (cluster.get("dns") or {}).get("disabled") or skipped & {"addon", "addon/coredns"}
    proxy_off = (cluster.get("proxy") or {}).get("disabled") or skipped & {"addon", "addon/kube-proxy"}
    if not dns_off:
        objects += ["deployments.apps/coredns", "services/kube-dns"]
    if not proxy_off:
        objects.append("daemonsets.apps/kube-proxy")
    return objects
