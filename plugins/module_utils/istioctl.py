# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: istioctl: argument lists in, parsed answers out; what differs by version says why."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.meshops.istio.plugins.module_utils import manifests, support
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

# Before 1.24 the installer was another one (three-way merges, an installed-state object): release note
# operator-drop-diff of istio/istio and its neighbours. What is compared here holds from 1.24 on.
OLDEST = (1, 24)
_QUICK_SECONDS = 120.0


class IstioctlMissing(MeshopsError):  # noqa: N818
    """There is no istioctl at the given path."""


def environment(base: Mapping[str, str], kubeconfig: list[str], config_file: str) -> dict[str, str]:
    """Return the environment for istioctl: the user's own defaults (ISTIOCTL_*, its config file) have no say."""
    clean = {key: value for key, value in base.items() if not key.startswith("ISTIOCTL_")}
    return {**clean, "ISTIOCONFIG": config_file, "KUBECONFIG": os.pathsep.join(kubeconfig), "NO_COLOR": "1"}


def argv_version(path: str) -> list[str]:
    """Return the command that prints the client's version as JSON."""
    return [path, "version", "--remote=false", "-o", "json"]


def argv_generate(path: str, operator_file: str, cluster: bool, context: str | None = None) -> list[str]:
    """Return the command that renders all objects; `cluster` lets it look at the cluster as an installation does."""
    argv = [path, "manifest", "generate", "-f", operator_file]
    return argv + (["--cluster-specific", *_context(context)] if cluster else [])


def argv_install(path: str, operator_file: str, seconds: int, context: str | None = None) -> list[str]:
    """Return the command that installs; `seconds` is its patience for each component."""
    return [path, "install", "-y", "-f", operator_file, "--readiness-timeout", f"{seconds}s", *_context(context)]


def _context(context: str | None) -> list[str]:
    return ["--context", context] if context else []


def parse_version(text: str) -> str:
    """Return the client's version from `version -o json`, for example 1.31.1."""
    try:
        return str(json.loads(text)["clientVersion"]["version"])
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


def version_problem(version: str) -> str | None:
    """Return why this istioctl cannot be used at all, None when it can."""
    try:
        found = support.minor(version)
    except ValueError as error:
        return f"istioctl calls itself {version!r}: {error}."
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"istioctl {version} is too old: it has another installer; use {oldest} or newer."
    return None


def step_problem(installed: str | None, wanted: str) -> str | None:
    """Return why Istio cannot go from one version to another in place: more than one minor at once, either way."""
    if not installed:
        return None
    try:
        old, new = support.minor(installed), support.minor(wanted)
    except ValueError:
        return None  # a hand-made tag says nothing about its version
    if old[0] == new[0] and abs(old[1] - new[1]) <= 1:
        return None
    way = "upgrade" if new > old else "downgrade"
    between = f"{old[0]}.{old[1] + (1 if new > old else -1)}"
    return (
        f"Istio {installed} is installed and {wanted} is wanted: an {way} in place takes one minor version at a time;"
        f" go to {between} first, or install {wanted} as a revision of its own."
    ).replace("an downgrade", "a downgrade")


class Istioctl:
    """One istioctl binary, bound to one cluster and one IstioOperator document."""

    def __init__(self, path: str, kubeconfig: list[str], context: str | None, folder: str) -> None:
        self._path = path
        self._context = context
        self.operator_file = str(Path(folder) / "operator.yaml")
        self._env = environment(os.environ, kubeconfig, str(Path(folder) / "config.yaml"))

    def version(self) -> str:
        """Return the client's version; IstioctlMissing when there is no such program."""
        if shutil.which(self._path) is None:
            raise IstioctlMissing(
                f"There is no istioctl at {self._path}: install it with the role meshops.istio.istioctl,"
                " or give its path in the option istioctl."
            )
        return parse_version(self._run(argv_version(self._path), _QUICK_SECONDS))

    def render(self, cluster: bool) -> list[dict]:
        """Return the objects that an installation applies, without the labels that it adds."""
        argv = argv_generate(self._path, self.operator_file, cluster, self._context)
        return manifests.load(self._run(argv, _QUICK_SECONDS), "the output of istioctl manifest generate")

    def install(self, seconds: int) -> None:
        """Install and wait, `seconds` for each component; MeshopsError with istioctl's own reason."""
        self._run(argv_install(self._path, self.operator_file, seconds, self._context), 3.0 * seconds + 60)

    def _run(self, argv: list[str], seconds: float) -> str:
        name = " ".join(["istioctl", *itertools.takewhile(lambda word: not word.startswith("-"), argv[1:])])
        try:
            done = subprocess.run(
                argv, env=self._env, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise MeshopsError(f"{name} did not end within {seconds:.0f} s and was stopped.") from error
        except OSError as error:
            raise MeshopsError(f"{argv[0]} cannot be run: {error.strerror}; is it built for this machine?") from error
        if done.returncode:
            raise MeshopsError(
                f"{name} failed with {done.returncode}: {parse_error(done.stderr.decode('utf-8', 'replace'))}"
            )
        return done.stdout.decode("utf-8", "replace")


@contextlib.contextmanager
def workspace(document: dict) -> Iterator[str]:
    """Give a folder that only this user can read, with the IstioOperator document and an empty istioctl config."""
    with tempfile.TemporaryDirectory(prefix="meshops-istio-") as folder:
        for name, content in (("operator.yaml", manifests.dump(document)), ("config.yaml", "{}\n")):
            path = Path(folder) / name
            path.touch(mode=0o600)
            path.write_text(content, encoding="utf-8")
        yield folder
