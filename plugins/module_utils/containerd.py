# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what containerd reads about the mirrors of image registries. Pure."""

from __future__ import annotations

import json
from typing import Any

FOLDER = "/etc/containerd/certs.d"
# Registries whose API lies under another name than their images
SERVERS = {"docker.io": "https://registry-1.docker.io", "_default": ""}


def hosts_toml(mirror: dict[str, Any]) -> str:
    """Content of one hosts.toml; `mirror` as documented for containerd_registry_mirrors."""
    registry = mirror["registry"]
    server = mirror.get("server") or SERVERS.get(registry, f"https://{registry}")
    # a JSON string is a TOML basic string
    lines = ["# Managed by Ansible (meshops.istio)"] + ([f"server = {json.dumps(server)}"] if server else [])
    for endpoint in mirror["endpoints"]:
        lines += ["", f"[host.{json.dumps(endpoint)}]", '  capabilities = ["pull", "resolve"]']
        if mirror.get("ca"):
            lines.append(f"  ca = {json.dumps(mirror['ca'])}")
        if mirror.get("skip_verify"):
            lines.append("  skip_verify = true")
    return "\n".join([*lines, ""])


def hosts_files(mirrors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One {path, content} for each registry; content None for one without endpoints."""
    return [
        {
            "path": f"{FOLDER}/{mirror['registry']}/hosts.toml",
            "content": hosts_toml(mirror) if mirror["endpoints"] else None,
        }
        for mirror in mirrors
    ]
