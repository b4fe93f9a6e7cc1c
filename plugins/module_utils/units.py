# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a systemd service that runs, starts at boot, and runs with its present files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kernel import execute

PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "MainPID", "NeedDaemonReload")
Run = Callable[[list[str]], "tuple[int, str]"]


def state(name: str, run: Run) -> dict[str, str]:
    """What systemd says of a unit. Raises MeshopsError when there is no systemd to ask."""
    code, output = run(["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", name])
    if code:
        raise MeshopsError(f"systemd does not answer for the service {name}: {output}. It must be the host's init.")
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def started_at(pid: int, proc: Path = Path("/proc")) -> float | None:
    """When a process started, in seconds since the epoch; None when it is gone."""
    try:
        ticks = int(
            (proc / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
        uptime = float((proc / "uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def newest(paths: list[str]) -> float:
    """Latest change among files, and folders with what lies directly in them; 0 when none is there.

    Times in the future were written under a wrong clock and would never be older than a process: they do not count.
    """
    times = [0.0]
    for path in map(Path, paths):
        entries = [path, *path.iterdir()] if path.is_dir() else [path]
        times += [entry.stat().st_mtime for entry in entries if entry.exists()]
    return max(moment for moment in times if moment <= time.time())


def plan(shown: dict[str, str], enabled: bool, stale: bool) -> list[str]:
    """systemctl's verbs, in order, that bring a service from what is shown to running with its present files."""
    verbs = ["daemon-reload"] if shown.get("NeedDaemonReload") == "yes" else []
    if enabled and shown.get("UnitFileState") == "disabled":
        verbs.append("enable")
    if shown.get("ActiveState") not in ("active", "reloading"):
        verbs.append("restart" if shown.get("ActiveState") in ("failed", "activating") else "start")
    elif stale:
        verbs.append("restart")
    return verbs


def up(
    params: dict[str, Any], check_mode: bool, run: Run = execute, started: Callable[[int], float | None] = started_at
) -> dict[str, Any]:
    """Core of the module service_up: params as in its documentation."""
    name = params["name"] if "." in params["name"] else params["name"] + ".service"
    shown = state(name, run)
    if shown.get("LoadState") == "masked":
        raise MeshopsError(f"The service {name} is masked. Unmask it: systemctl unmask {name}")
    if shown.get("LoadState") == "not-found":
        if check_mode:
            return {"changed": True, "actions": ["enable", "start"]}
        raise MeshopsError(f"The service {name} does not exist. Install its package first.")
    start = started(int(shown.get("MainPID") or 0)) if shown.get("MainPID", "0") != "0" else None
    # by time and not by notification: a run killed between the file and the restart is made good by the next one
    stale = start is not None and newest(params["files"]) > start
    verbs = plan(shown, params["enabled"], stale or (check_mode and params["files_changed"]))
    if not check_mode:
        for verb in verbs:
            act(verb, name, run)
    return {"changed": bool(verbs), "actions": verbs}


def act(verb: str, name: str, run: Run) -> None:
    """One systemctl call. Raises MeshopsError with the last lines of the unit's journal."""
    argv = ["systemctl", verb] if verb == "daemon-reload" else ["systemctl", verb, "--", name]
    code, output = run(argv)
    if not code:
        return
    _code, log = run(["journalctl", "--unit", name, "--lines", "8", "--output", "cat", "--no-pager"])
    raise MeshopsError(f"{' '.join(argv)} failed: {output}. The last lines of its log: {' | '.join(log.splitlines())}")
