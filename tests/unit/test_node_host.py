# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel, swap, services and small files of a node, on a make-believe root folder."""

from __future__ import annotations

import os

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import configfiles, kernel, units
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

SYSCTL = {"net.ipv4.ip_forward": True, "kernel.unheard_of": 1}


@pytest.fixture
def root(tmp_path):
    files = {
        "proc/sys/net/ipv4/ip_forward": "0\n",
        "proc/filesystems": "nodev\tsysfs\nnodev\toverlay\n",
        "proc/swaps": "Filename Type Size\n/dev/sda2 partition 1\n",
        "etc/fstab": "UUID=1 / ext4 defaults 0 1\n# /old none swap sw 0 0\n/dev/sda2 none swap sw 0 0\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "proc/sys/net/bridge").mkdir()
    return tmp_path


class Commands:
    """Answers of commands, by their first word; remembers what was asked."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def __call__(self, argv):
        self.asked.append(argv)
        return self.answers.get(argv[0], (0, ""))


def params(**more):
    return {
        "state": "present", "modules": ["overlay", "br_netfilter"], "sysctl": SYSCTL, "swap_off": True,
        "modules_file": "/etc/modules-load.d/m.conf", "sysctl_file": "/etc/sysctl.d/m.conf", **more,
    }  # fmt: skip


def settle(root, check_mode=False, run=None, **more):
    host = kernel.Host(root=root, run=run or Commands(), release="6.1")
    return kernel.settle(params(**more), check_mode, host)


def snapshot(root):
    return {str(path): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_fresh_host_is_settled_once(root):
    before, run = snapshot(root), Commands()
    foreseen = settle(root, True, run)
    assert foreseen["changed"] and snapshot(root) == before and run.asked == []
    result = settle(root, False, run)
    assert (result["changed"], result["diff"]) == (True, foreseen["diff"])
    # both modules are there, one as a file system and one by its keys: nothing is loaded
    assert run.asked == [["swapoff", "--all"]]
    assert result["skipped_settings"] == {"kernel.unheard_of": "this kernel does not know it"}
    assert (root / "proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    assert "\n# /dev/sda2 none swap" in (root / "etc/fstab").read_text()
    assert (root / "etc/sysctl.d/m.conf").read_text().endswith("-kernel.unheard_of = 1\n-net.ipv4.ip_forward = 1\n")
    (root / "proc/swaps").write_text("Filename Type Size\n")
    assert not settle(root)["changed"]
    assert settle(root, state="absent")["changed"]
    assert not (root / "etc/sysctl.d/m.conf").exists() and not settle(root, state="absent")["changed"]


def test_a_module_is_loaded_when_it_is_missing(root):
    (root / "proc/modules").write_text("")
    run = Commands()
    assert settle(root, True, run, modules=["ip_vs"])["changed"] and run.asked == []
    settle(root, False, run, modules=["ip_vs"], swap_off=False)
    assert run.asked == [["modprobe", "--", "ip_vs"]]
    with pytest.raises(MeshopsError, match=r"ip_vs is neither built into the kernel 6.1 nor loadable \(not found\)"):
        settle(root, False, Commands(modprobe=(1, "not found")), modules=["ip_vs"])


def test_a_kernel_without_modules_is_no_error_where_nothing_shows_what_it_has(root):
    run = Commands()
    result = settle(root, False, run, modules=["vxlan"], swap_off=False)
    assert "vxlan" in result["skipped_settings"] and run.asked == []


def test_built_in_modules_count(root):
    builtin = root / "lib/modules/6.1/modules.builtin"
    builtin.parent.mkdir(parents=True)
    builtin.write_text("kernel/drivers/net/vx-lan.ko\n")
    (root / "sys/module/bridge").mkdir(parents=True)
    host = kernel.Host(root=root, release="6.1")
    assert [kernel.has_module(host, name) for name in ("vx_lan", "bridge", "dummy")] == [True, True, False]


def test_keys_of_modules_that_are_yet_to_be_loaded_are_foreseen(root):
    (root / "proc/modules").write_text("")
    foreseen = settle(root, True, modules=["ip_vs"], sysctl={"net.ipv4.vs.conntrack": 1}, swap_off=False)
    assert "net.ipv4.vs.conntrack = 1" in foreseen["diff"]["after"] and foreseen["skipped_settings"] == {}


def test_read_only_keys_are_named(root):
    (root / "proc/sys/net/ipv4/ip_forward").chmod(0o444)
    assert "read-only" in settle(root, swap_off=False)["skipped_settings"]["net.ipv4.ip_forward"]


def test_swap_that_stays_is_one_sentence(root):
    with pytest.raises(MeshopsError, match=r"/dev/sda2 cannot be switched off: Cannot allocate memory"):
        settle(root, False, Commands(swapoff=(255, "Cannot allocate memory")))


SHOWN = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "MainPID": "7",
    "NeedDaemonReload": "no",
}


@pytest.mark.parametrize(
    ("shown", "stale", "verbs"),
    [
        ({}, False, []),
        ({}, True, ["restart"]),
        ({"UnitFileState": "disabled"}, False, ["enable"]),
        ({"UnitFileState": "static"}, False, []),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, True, ["enable", "start"]),
        ({"ActiveState": "failed"}, False, ["restart"]),
        ({"NeedDaemonReload": "yes"}, True, ["daemon-reload", "restart"]),
    ],
)
def test_what_a_service_needs(shown, stale, verbs):
    assert units.plan({**SHOWN, **shown}, True, stale) == verbs


def up(run, tmp_path, check_mode=False, started=lambda _pid: 1000.0, changed=False):
    files = {"name": "containerd", "files": [str(tmp_path)], "files_changed": changed, "enabled": True}
    return units.up(files, check_mode, run, started)


def show(**more):
    return (0, "\n".join(f"{key}={value}" for key, value in {**SHOWN, **more}.items()))


def test_a_service_is_restarted_when_a_file_is_newer_than_its_process(tmp_path):
    (tmp_path / "config.toml").write_text("x")
    os.utime(tmp_path / "config.toml", (900, 900))
    os.utime(tmp_path, (900, 900))
    run = Commands(systemctl=show())
    assert up(run, tmp_path)["actions"] == [] and len(run.asked) == 1
    assert up(run, tmp_path, True, changed=True)["actions"] == ["restart"] and len(run.asked) == 2
    os.utime(tmp_path / "config.toml", (1001, 1001))
    assert up(run, tmp_path)["actions"] == ["restart"]
    assert run.asked[-1] == ["systemctl", "restart", "--", "containerd.service"]
    os.utime(tmp_path / "config.toml", (9e9, 9e9))
    assert not up(run, tmp_path)["changed"]


def test_a_service_that_is_not_there(tmp_path):
    gone = Commands(systemctl=show(LoadState="not-found"))
    assert up(gone, tmp_path, True)["changed"]
    with pytest.raises(MeshopsError, match="does not exist"):
        up(gone, tmp_path)
    with pytest.raises(MeshopsError, match="is masked"):
        up(Commands(systemctl=show(LoadState="masked")), tmp_path, True)


def test_the_process_start_is_found_in_proc():
    start = units.started_at(os.getpid())
    assert start is not None and start > 1e9 and units.started_at(2**30) is None


def test_config_files(tmp_path):
    one, two = str(tmp_path / "a/b/one"), str(tmp_path / "two")
    wanted = {"files": [{"path": one, "content": "1\n"}, {"path": two, "content": None}], "mode": "0644"}
    (tmp_path / "two").write_text("old\n")
    foreseen = configfiles.write(wanted, True)
    assert foreseen["files"] == [one, two] and not (tmp_path / "a").exists()
    assert configfiles.write(wanted, False) == foreseen
    assert (tmp_path / "a/b/one").read_text() == "1\n" and not (tmp_path / "two").exists()
    assert not configfiles.write(wanted, False)["changed"]
    assert configfiles.write({**wanted, "mode": "0600"}, True)["files"] == [one]
    with pytest.raises(MeshopsError, match="cannot be read"):
        configfiles.write({"files": [{"path": str(tmp_path), "content": ""}], "mode": "0644"}, True)
