# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine and the tools of this machine that the lab needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from lab.data import LabError
from lab.progress import say
from lab.run import run, succeeds

# command -> Debian package
BUILD_TOOLS = {"debootstrap": "debootstrap", "gcc": "gcc", "pkg-config": "pkg-config", "dpkg-deb": "dpkg"}
HEADERS = {"/usr/include/seccomp.h": "libseccomp-dev", "/usr/include/stdio.h": "libc6-dev"}
ENGINE_TIMEOUT = 60  # seconds until a started engine has to answer


def ensure_tools(build: bool) -> None:
    """Installs what is missing when root on Debian or Ubuntu; otherwise says in one sentence what is missing."""
    wanted = {
        "dockerd": "docker.io",
        "pgrep": "procps",
        "ssh-keygen": "openssh-client",
        **(BUILD_TOOLS if build else {}),
    }
    missing = [package for command, package in wanted.items() if not shutil.which(command)]
    if build:
        missing += [package for header, package in HEADERS.items() if not Path(header).exists()]
        if not shutil.which("go"):
            raise LabError("The Go toolchain is missing: install Go 1.26 or newer and put `go` on the PATH.")
    if "docker.io" in missing and succeeds(["docker", "info"]):
        missing.remove("docker.io")
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(f"The lab needs {', '.join(missing)}: install them, or run as root on Debian or Ubuntu.")
    say(f" lab   installing {', '.join(missing)}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], env=env)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=env)


def ensure_engine(log: Path) -> None:
    """Starts Docker when it does not answer: by systemd where that runs, else by hand."""
    if succeeds(["docker", "info"]):
        return
    if os.geteuid() != 0:
        raise LabError("The Docker engine does not answer: start it, or add this user to the group docker.")
    if Path("/run/systemd/system").exists():
        run(["systemctl", "start", "docker"])
    else:
        if not succeeds(["pgrep", "-x", "dockerd"]):
            # left by an engine that was killed; its number may be another process's by now
            Path("/var/run/docker.pid").unlink(missing_ok=True)
        with log.open("ab") as output:
            subprocess.Popen(
                ["dockerd"], stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )
    deadline = time.monotonic() + ENGINE_TIMEOUT
    while not succeeds(["docker", "info"]):
        if time.monotonic() > deadline:
            raise LabError(f"The Docker engine was started but does not answer after {ENGINE_TIMEOUT} s: see {log}.")
        time.sleep(0.3)
    say(" lab   container engine started")
