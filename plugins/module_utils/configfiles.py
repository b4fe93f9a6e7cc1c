# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: several small configuration files, brought to their content in one task."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import mirrors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


def read(path: str) -> str | None:
    """Text of a file; None when there is none. Raises MeshopsError for what is no regular text file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise MeshopsError(f"{path} cannot be read as a text file: {error}. Move it away.") from error


def entry(path: str, before: str | None, after: str | None) -> dict[str, str]:
    """One entry of Ansible's list of differences."""
    return {"before_header": path, "after_header": path, "before": before or "", "after": after or ""}


def write(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Core of the module config_files: params as in its documentation."""
    mode, changed, diff = mirrors.parse_mode(params["mode"]), [], []
    os.umask(0o022)
    for item in params["files"]:
        path, wanted = item["path"], item.get("content")
        old = read(path)
        if old == wanted:
            if wanted is not None and mirrors.fix_mode(path, mode, check_mode):
                changed.append(path)
            continue
        changed.append(path)
        diff.append(entry(path, old, wanted))
        if check_mode:
            continue
        if wanted is None:
            Path(path).unlink()
        else:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            mirrors.write_atomic(path, wanted.encode(), mode)
    return {"changed": bool(changed), "files": changed, "diff": diff}
