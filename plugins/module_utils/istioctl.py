# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: istioctl: argument lists in, parsed answers out; what differs by version says why."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import istioctl_output as output
from ansible_collections.meshops.istio.plugins.module_utils import manifests, support
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl_output import parse_error, parse_version

__all__ = [
    "OLDEST",
    "Analysis",
    "Istioctl",
    "IstioctlMissing",
    "parse_error",
    "parse_version",
    "skew_problem",
    "step_problem",
    "unavailable",
    "version_problem",
    "workspace",
]

# Before 1.24 the installer was another one (three-way merges, an installed-state object): release note
# operator-drop-diff of istio/istio and its neighbours. What is compared here holds from 1.24 on.
OLDEST = (1, 24)
_QUICK_SECONDS = 120.0
_ANALYSIS_SECONDS = 300.0
_GLANCE_SECONDS = 1.0  # how often what a command has printed so far is looked at


class Gate(NamedTuple):
    """In which versions a command is there (`since` included, `until` not), and the change that did it."""

    command: str
    since: tuple[int, int] | None
    until: tuple[int, int] | None
    change: str
    instead: str


GATES = {
    gate.command: gate
    for gate in (
        Gate("analyze --revision", (1, 15), None, "istio/istio issue 38148", "leave revision out"),
        Gate("x precheck -o json", (1, 20), None, "istio/istio pull request 46072", "use a newer istioctl"),
        Gate("tag list -o json", (1, 11), None, "istio/istio: tag was experimental before", "use a newer istioctl"),
        Gate("proxy-status -o json", (1, 30), None, "istio/istio pull request 58493", "ask istiod for /debug/syncz"),
        Gate(
            "profile",
            None,
            (1, 24),
            "release note operator-drop-dump of istio/istio",
            "read the folder manifests/profiles of the release",
        ),
    )
}


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


def argv_precheck(path: str, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that checks a cluster before an installation; `namespace` is the control plane's."""
    return [path, "x", "precheck", "-o", "json", "-i", namespace, *_context(context)]


class Analysis(NamedTuple):
    """What to analyse: files, the live cluster or both; one namespace or all (""); for which revision ("" unnamed)."""

    files: list[str]
    cluster: bool
    namespace: str
    istio_namespace: str
    revision: str


def argv_analyze(path: str, what: Analysis, context: str | None = None) -> list[str]:
    """Return the command that analyses."""
    argv = [path, "analyze", "-o", "json", "-i", what.istio_namespace]
    argv += ["-n", what.namespace] if what.namespace else ["-A"]
    argv += ["-r", what.revision] if what.revision else []
    argv += _context(context) if what.cluster else ["--use-kube=false"]
    return [*argv, "--", *what.files] if what.files else argv


def argv_tags(path: str, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that lists revision tags; `namespace` is the control plane's."""
    return [path, "tag", "list", "-o", "json", "-i", namespace, *_context(context)]


def argv_proxy_status(path: str, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that tells which proxies have their configuration; `namespace` is the control plane's."""
    return [path, "proxy-status", "-o", "json", "-i", namespace, *_context(context)]


def argv_uninstall(path: str, revision: str | None, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that removes one revision, or with None everything; `namespace` is the control plane's."""
    which = ["--revision", revision] if revision else ["--purge"]
    # without the value it looks for a control plane in istio-system, whatever -i says
    where = ["--set", f"values.global.istioNamespace={namespace}", "-i", namespace]
    return [path, "uninstall", "-y", *which, *where, *_context(context)]


def _context(context: str | None) -> list[str]:
    return ["--context", context] if context else []


def version_problem(version: str) -> str | None:
    """Return why this istioctl cannot be used at all, None when it can."""
    try:
        found = support.minor(version)
    except ValueError as error:
        return f"istioctl calls itself {version!r}: {error}."
    if found < OLDEST:
        return f"istioctl {version} is too old: it has another installer; use {_text(OLDEST)} or newer."
    return None


def _text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"


def unavailable(version: str, command: str) -> str | None:
    """Return why this istioctl lacks one of the GATES, None when it has it or its version says nothing."""
    gate = GATES[command]
    try:
        found = support.minor(version)
    except ValueError:
        return None
    if gate.since and found < gate.since:
        which = f"only {_text(gate.since)} and newer have it"
    elif gate.until and found >= gate.until:
        which = f"it was removed in {_text(gate.until)}"
    else:
        return None
    return f"istioctl {version} has no `{command}`: {which} ({gate.change}); {gate.instead}."


def skew_problem(client: str, mesh: str, where: str) -> str | None:
    """Return why istioctl and a control plane (`where` it is) do not go together: more than one minor apart."""
    try:
        mine, theirs = support.minor(client), support.minor(mesh)
    except ValueError:
        return None
    if mine[0] == theirs[0] and abs(mine[1] - theirs[1]) <= 1:
        return None
    way = "older" if mine < theirs else "newer"
    return (
        f"istioctl {client} is more than one minor version {way} than the control plane {where}, which is {mesh};"
        f" use an istioctl of {_text(theirs)}."
    )


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

    def precheck(self, namespace: str) -> list[dict[str, str]]:
        """Return the findings of `x precheck`; `namespace` is the control plane's. It ends with 1 when it has any."""
        done = self._done(argv_precheck(self._path, namespace, self._context), _QUICK_SECONDS, looks=True)
        if done.code and not output.without_logs(done.out):
            raise self._failure(done)
        return output.parse_messages(done.out, "x precheck")

    def analyze(self, what: Analysis) -> list[dict[str, str]]:
        """Return the findings of `analyze`; MeshopsError when it did not analyse all of it."""
        done = self._done(argv_analyze(self._path, what, self._context), _ANALYSIS_SECONDS, looks=True)
        if done.code:
            raise self._failure(done)
        problem = output.analysis_problem(done.err)
        if problem:
            raise MeshopsError(problem)
        return output.parse_messages(done.out, "analyze")

    def tags(self, namespace: str) -> list[dict]:
        """Return tag, revision and namespaces of each revision tag; `namespace` is the control plane's."""
        return output.parse_tags(self._run(argv_tags(self._path, namespace, self._context), _QUICK_SECONDS))

    def proxy_status(self, namespace: str) -> dict[str, dict[str, str]]:
        """Return the state of each type of each proxy (`pod.namespace`); needs the gate `proxy-status -o json`."""
        text = self._run(argv_proxy_status(self._path, namespace, self._context), _QUICK_SECONDS)
        return output.parse_proxy_status(text)

    def uninstall(self, revision: str | None, namespace: str, seconds: int) -> None:
        """Remove one revision, or with None everything; what was deleted may still be ending afterwards."""
        self._run(argv_uninstall(self._path, revision, namespace, self._context), seconds + _QUICK_SECONDS)

    def _run(self, argv: list[str], seconds: float) -> str:
        done = self._done(argv, seconds)
        if done.code:
            raise self._failure(done)
        return done.out

    def _done(self, argv: list[str], seconds: float, looks: bool = False) -> _Done:
        """Return the ended command; `looks`: without a right it would wait for ever, so it is stopped then."""
        name = " ".join(["istioctl", *itertools.takewhile(lambda word: not word.startswith("-"), argv[1:])])
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(argv, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            except OSError as error:
                why = f"{argv[0]} cannot be run: {error.strerror}; is it built for this machine?"
                raise MeshopsError(why) from error
            with process:
                try:
                    _wait(process, name, seconds, lambda: output.denied(_text_of(out, err)) if looks else "")
                except BaseException:
                    process.kill()
                    raise
            return _Done(name, process.returncode, _text_of(out), _text_of(err))

    def _failure(self, done: _Done) -> MeshopsError:
        if output.no_cluster(done.err):
            return MeshopsError(
                f"{done.name} found no cluster in the kubeconfig {self._env['KUBECONFIG']} and asked localhost:8080,"
                " which refused; set the option kubeconfig, or context, to a file that has one."
            )
        return MeshopsError(f"{done.name} failed with {done.code}: {parse_error(done.err)}")


class _Done(NamedTuple):
    """A command that has ended."""

    name: str
    code: int
    out: str
    err: str


def _wait(process: subprocess.Popen, name: str, seconds: float, hopeless: Callable[[], str]) -> None:
    """Wait for the end of a command; MeshopsError after `seconds`, or with the reason why waiting is `hopeless`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(_GLANCE_SECONDS, max(0.0, deadline - time.monotonic())))
            return
        reason = hopeless()
        if reason:
            raise MeshopsError(f"{name} cannot go on: {reason}.")
        if time.monotonic() >= deadline:
            raise MeshopsError(f"{name} did not end within {seconds:.0f} s and was stopped.")


def _text_of(*files: IO[bytes]) -> str:
    # by position: the command writes where its own offset is, which is shared
    texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in files]
    return b"".join(texts).decode("utf-8", "replace")


@contextlib.contextmanager
def workspace(document: dict) -> Iterator[str]:
    """Give a folder that only this user can read, with the IstioOperator document and an empty istioctl config."""
    with tempfile.TemporaryDirectory(prefix="meshops-istio-") as folder:
        for name, content in (("operator.yaml", manifests.dump(document)), ("config.yaml", "{}\n")):
            path = Path(folder) / name
            path.touch(mode=0o600)
            path.write_text(content, encoding="utf-8")
        yield folder
