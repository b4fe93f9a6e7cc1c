# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: exact versions of Debian packages, installed and held, whatever a killed run left."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import repositories
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

BUSY = re.compile(r"could not get lock|is locked by another process|unable to acquire", re.IGNORECASE)
# finishes what an interrupted run has unpacked but not configured
CONFIGURE = ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"]
PAUSE = 1.0  # seconds between two looks at a lock that somebody else holds
Run = Callable[[list[str]], "tuple[int, str]"]
Installed = Callable[..., "dict[str, dict[str, Any]]"]


def execute(argv: list[str]) -> tuple[int, str]:
    """Return code and all output of a package manager that must not ask anything."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=quiet, stdin=subprocess.DEVNULL)
    return done.returncode, (done.stdout + done.stderr).strip()


def patiently(argv: list[str], seconds: float, run: Run) -> None:
    """Run a command, again while another package manager holds its lock. Raises MeshopsError."""
    deadline = time.monotonic() + seconds
    while True:
        code, output = run(argv)
        if not code:
            return
        if not BUSY.search(output) or time.monotonic() > deadline:
            tail = " | ".join(output.splitlines()[-6:])
            raise MeshopsError(f"{' '.join(argv)} failed: {tail}. Correct the cause on the host and start again.")
        time.sleep(PAUSE)


def commands(install: dict[str, str], hold: list[str], sources_file: str) -> list[list[str]]:
    """What has to be run, in order, to install the versions and hold the packages."""
    argvs: list[list[str]] = []
    if install:
        argvs.append(CONFIGURE)
        keep = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
        allow = ["--allow-downgrades", "--allow-change-held-packages", "--no-install-recommends", "--fix-broken"]
        exact = [f"{name}={version}" if version else name for name, version in sorted(install.items())]
        # only this repository's index: the others of the host may be out of reach
        only = [f"Dir::Etc::sourcelist={sources_file}", "Dir::Etc::sourceparts=-", "APT::Get::List-Cleanup=0"]
        argvs += [
            [
                "apt-get",
                "update",
                "-q",
                *(word for option in only for word in ("-o", option)),
                "-o",
                "APT::Update::Error-Mode=any",
            ],
            ["apt-get", "install", "-y", "-q", *keep, *allow, *exact],
        ]
    if hold:
        argvs.append(["apt-mark", "hold", *hold])
    return argvs


def purge(names: list[str], check_mode: bool, timeout: float, run: Run, installed: Installed) -> dict[str, Any]:
    """Remove packages with their configuration, held or not."""
    have = installed(names, ())
    if have and not check_mode:
        for argv in (CONFIGURE, ["apt-get", "purge", "-y", "-q", "--allow-change-held-packages", *sorted(have)]):
            patiently(argv, timeout, run)
    before = "".join(line(name, have.get(name)) for name in sorted(names))
    diff = {"before": before, "after": "".join(line(name, None) for name in sorted(names))}
    return {"changed": bool(have), "installed": [], "held": [], "removed": sorted(have), "diff": diff if have else None}


def pin(
    params: dict[str, Any],
    check_mode: bool,
    run: Run = execute,
    installed: Installed = repositories.dpkg_installed,
) -> dict[str, Any]:
    """Core of the module apt_pin: params as in its documentation."""
    wanted: dict[str, str] = params["packages"]
    if not wanted:
        raise MeshopsError("No package is given. Name at least one with its exact version in packages.")
    if params["state"] == "absent":
        return purge(sorted(wanted), check_mode, params["lock_timeout"], run, installed)
    have = installed(sorted(wanted))
    # a package without a version is as wanted in any
    target = {name: str(v or have.get(name, {}).get("version", "")) for name, v in wanted.items()}
    install = {name: v for name, v in target.items() if name not in have or have[name]["version"] != v}
    hold = [name for name in sorted(wanted) if name in install or not have[name]["held"]]
    if not check_mode:
        for argv in commands(install, hold, params["sources_file"]):
            patiently(argv, params["lock_timeout"], run)
    before = "".join(line(name, have.get(name)) for name in sorted(wanted))
    after = "".join(line(name, {"version": version, "held": True}) for name, version in sorted(target.items()))
    result: dict[str, Any] = {"changed": bool(hold), "installed": sorted(install), "held": hold, "removed": []}
    return {**result, "diff": {"before": before, "after": after} if hold else None}


def line(name: str, state: dict[str, Any] | None) -> str:
    """One line of the diff."""
    if not state:
        return f"{name}: absent\n"
    return f"{name}: {state['version']}{' held' if state['held'] else ''}\n"
