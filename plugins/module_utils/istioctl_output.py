# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what istioctl prints, as data. Pure.

The forms are those of istio/istio, branches release-1.20 to release-1.31; where they differ it says so below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

LEVELS = ("Info", "Warning", "Error")  # from harmless to bad
# istioctl logs to its standard output, before what was asked for
_LOG = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z\t(debug|info|warn|error|fatal|none)\t")
# the text in place of an empty list: until 1.27, and since (istio/istio#56963)
_NO_TAGS = ("No Istio revision tag MutatingWebhookConfigurations to list", "No Istio revision tags found.")
_UNREACHED = re.compile(r"localhost:8080.*refused")
_FORBIDDEN = re.compile(
    r'failed to list [^:]*: [^"]*'
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<name>[^"]+)" in API group "(?P<group>[^"]*)"'
)
_NO_NAMESPACE = re.compile(r'namespace "(?P<name>[^"]*)" not found')
_NO_FILES = re.compile(r"Error\(s\) adding files: (?P<text>.*?)(?:No validation issues found|$)", re.DOTALL)


def without_logs(text: str) -> str:
    """Return what was printed without log lines."""
    return "\n".join(line for line in text.splitlines() if not _LOG.match(line)).strip()


def parse_version(text: str) -> str:
    """Return the client's version from `version -o json`, for example 1.31.1."""
    try:
        return str(json.loads(without_logs(text))["clientVersion"]["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise MeshopsError(f"istioctl version answered something else than its version: {text[:200]!r}") from error


def parse_error(stderr: str) -> str:
    """Return what an istioctl command complained about: from its last `Error:` on, else its last line."""
    lines = [" ".join(line.split()) for line in stderr.splitlines() if line.strip()]
    starts = [index for index, line in enumerate(lines) if line.startswith("Error:")]
    if starts:
        lines = lines[starts[-1] :]
        lines[0] = lines[0][len("Error:") :].strip()
        return " ".join(lines)[:1000]
    return lines[-1][:1000] if lines else "it said nothing"


def no_cluster(stderr: str) -> bool:
    """Tell whether istioctl asked localhost:8080, which it does when its kubeconfig names no cluster."""
    return bool(_UNREACHED.search(stderr))


def denied(text: str) -> str:
    """Return in words the right that is missing, "" when none is; an analysis without it logs that and never ends."""
    found = _FORBIDDEN.search(text)
    if not found:
        return ""
    resource = ".".join(filter(None, [found["name"], found["group"]]))
    return (
        f"user {found['user']} may not {found['verb']} {resource}; grant it by a ClusterRole, or use another kubeconfig"
    )


def parse_messages(text: str, command: str) -> list[dict[str, str]]:
    """Return the findings that `analyze -o json` or `x precheck -o json` printed.

    A clean precheck prints nothing at all. Each finding has code, level, message, object (`Kind namespace/name`, or
    what stands there instead, "" for none), namespace, documentation_url and reference (file and line, "" for none).
    """
    bare = without_logs(text)
    try:
        found = json.loads(bare) if bare else []
    except ValueError as error:
        raise MeshopsError(f"istioctl {command} answered no JSON: {bare[:200]!r}; is it istioctl at all?") from error
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) and item.get("code") for item in found):
        raise MeshopsError(f"istioctl {command} answered something else than findings: {bare[:200]!r}.")
    return [_finding(item) for item in found]


def _finding(item: Mapping[str, Any]) -> dict[str, str]:
    origin = str(item.get("origin") or "")
    return finding(
        str(item["code"]),
        str(item.get("level") or "Error"),
        str(item.get("message") or ""),
        origin,
        str(item.get("documentationUrl") or item.get("documentation_url") or ""),
        str(item.get("reference") or ""),
    )


def finding(  # noqa: PLR0917 - the fields of one row
    code: str, level: str, message: str, origin: str = "", url: str = "", reference: str = ""
) -> dict[str, str]:
    """Return one finding; the namespace is taken from the object, and is that object itself for a Namespace."""
    kind, _space, name = origin.partition(" ")
    namespace = name if kind == "Namespace" else name.rpartition("/")[0]
    return {
        "code": code,
        "level": level,
        "message": message,
        "object": origin,
        "namespace": namespace,
        "documentation_url": url,
        "reference": reference,
    }


def analysis_problem(stderr: str) -> Optional[str]:
    """Return why `analyze -o json` did not analyse all it was given; it ends with 0 then all the same."""
    missing = _NO_NAMESPACE.search(stderr)
    if missing:
        return f"Namespace {missing['name']} does not exist, so nothing was analysed; correct namespaces."
    unread = _NO_FILES.search(stderr)
    if unread:
        causes = [line.strip(" \t*") for line in unread["text"].splitlines() if line.strip().startswith("*")]
        cause = " ".join((causes[-1] if causes else unread["text"]).split())
        return f"A file cannot be analysed: {cause[:500]}; correct it, or take it out of files."
    return None


def parse_tags(text: str) -> list[dict[str, Any]]:
    """Return tag, revision and namespaces of each row of `tag list -o json` that is a tag.

    Without any tag it prints a sentence instead of JSON. Since istio/istio#56963 (1.28) plain revisions are rows too,
    with an empty tag.
    """
    bare = without_logs(text)
    if bare in _NO_TAGS:
        return []
    try:
        rows = json.loads(bare) or []
        return [
            {"tag": row["tag"], "revision": row["revision"], "namespaces": list(row.get("namespaces") or [])}
            for row in rows
            if row["tag"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MeshopsError(f"istioctl tag list answered something else than tags: {bare[:200]!r}.") from error


def parse_proxy_status(text: str) -> dict[str, dict[str, str]]:
    """Return for each proxy (`pod.namespace`) the state of each type in `proxy-status -o json`.

    It prints one JSON document for each istiod, one behind the other.
    """
    found: dict[str, dict[str, str]] = {}
    try:
        for document in _documents(without_logs(text)):
            for resource in document.get("resources") or []:
                # sidecar~10.244.1.5~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local
                name = resource["node"]["id"].split("~")[2]
                states = found.setdefault(name, {})
                for config in resource.get("genericXdsConfigs") or []:
                    kind = config["typeUrl"].rpartition(".")[2]
                    states[kind] = str(config.get("configStatus") or "UNKNOWN")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise MeshopsError(f"istioctl proxy-status answered something else than proxies: {text[:200]!r}.") from error
    return found


def _documents(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        while at < len(text) and text[at].isspace():
            at += 1
