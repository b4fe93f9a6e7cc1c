# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles node, containerd and mirror render on each family of systems, and the sentences of their checks."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.meshops.istio.plugins.filter.containerd_hosts import containerd_hosts
from ansible_collections.meshops.istio.plugins.filter.same_on import same_on

ROOT = Path(__file__).resolve().parents[2] / "roles"
SYSTEMS = {
    "debian12": ("Debian", "Debian", "12.13", "bookworm"),
    "debian13": ("Debian", "Debian", "13.2", "trixie"),
    "ubuntu22": ("Debian", "Ubuntu", "22.04", "jammy"),
    "ubuntu24": ("Debian", "Ubuntu", "24.04", "noble"),
    "ubuntu26": ("Debian", "Ubuntu", "26.04", "resolute"),
    "rhel9": ("RedHat", "RedHat", "9.6", "Plow"),
    "rocky9": ("RedHat", "Rocky", "9.6", "Blue Onyx"),
    "alma10": ("RedHat", "AlmaLinux", "10.0", "Purple Lion"),
    "centos7": ("RedHat", "CentOS", "7.9", "Core"),
    "ubuntu20": ("Debian", "Ubuntu", "20.04", "focal"),
    "sles15": ("Suse", "SLES", "15.6", ""),
}
SUPPORTED = [name for name in SYSTEMS if name not in ("centos7", "ubuntu20", "sles15")]


def facts(system, **more):
    family, distribution, version, release = SYSTEMS[system]
    return {
        "os_family": family, "distribution": distribution, "distribution_version": version,
        "distribution_major_version": version.split(".")[0], "distribution_release": release, "architecture": "x86_64",
        "service_mgr": "systemd", "effective_user_id": 0, "user_id": "root", "processor_nproc": 2, "memtotal_mb": 4096,
        "mounts": [{"mount": "/", "size_available": 20e9}, {"mount": "/var", "size_available": 11e9}],
        "machine_id": "aaa", "dns": {"nameservers": ["192.0.2.1"]}, "interfaces": ["lo", "eth0"],
        "default_ipv4": {"address": "192.0.2.11"}, **more,
    }  # fmt: skip


def load(role, name):
    path = ROOT / role / name
    return DataLoader().load_from_file(str(path), trusted_as_template=True) or {} if path.exists() else {}


def variables(role, system="debian13", fact=None, **more):
    found = facts(system, **(fact or {}))
    values = {}
    for name in ("defaults/main.yml", "vars/main.yml", f"vars/{found['os_family']}.yml"):
        values.update(load(role, name))
    values.update(
        ansible_facts=found, ansible_managed="managed", inventory_hostname="n1", ansible_play_hosts_all=["n1", "n2"],
        groups={"cluster": ["n1", "n2"]}, hostvars={"n2": {"ansible_facts": {"machine_id": "bbb"}}},
    )  # fmt: skip
    return {**values, **more}


def templar(role, values):
    loader = DataLoader()
    loader.set_basedir(str(ROOT / role))
    made = Templar(loader=loader, variables={**values, "ansible_search_path": [str(ROOT / role)]})
    made.environment.filters.update(
        {"meshops.istio.same_on": same_on, "meshops.istio.containerd_hosts": containerd_hosts}
    )
    return made


def render(role, expression, **more):
    return templar(role, variables(role, **more)).template(trust_as_template("{{ " + expression + " }}"))


def text_of(role, template, **more):
    text = trust_as_template((ROOT / role / "templates" / template).read_text())
    return templar(role, variables(role, **more)).template(text)


def failed(role, **more):
    """Sentences of the checks that do not hold."""
    task = next(task for task in load(role, "tasks/preflight.yml") if "meshops.istio.preflight" in task)
    values = {**variables(role, **more), **task.get("vars", {})}
    checks = templar(role, values).template(task["meshops.istio.preflight"]["checks"])
    return [check["msg"] for check in checks if not check["that"]]


@pytest.mark.parametrize("system", SUPPORTED)
@pytest.mark.parametrize("role", ["node", "containerd"])
def test_supported_systems_pass(role, system):
    assert failed(role, system=system) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"system": "centos7"}, "n1 runs CentOS 7.9, which is not supported (its Python and kernel are too old"),
        ({"system": "ubuntu20"}, "n1 runs Ubuntu 20.04, which is not supported. Use Debian 12 or 13"),
        ({"system": "sles15"}, "n1 runs SLES 15.6, which is not supported."),
        ({"fact": {"architecture": "armv7l"}}, "architecture armv7l"),
        ({"fact": {"service_mgr": "openrc"}}, "not run by systemd but by openrc"),
        ({"fact": {"effective_user_id": 1000, "user_id": "ops"}}, "The tasks run as ops on n1, not as root"),
        ({"fact": {"processor_nproc": 1}}, "n1 has 1 CPU(s), a Kubernetes node needs 2"),
        ({"fact": {"memtotal_mb": 1000}}, "n1 has 1000 MiB of memory, a Kubernetes node needs 1700"),
        ({"fact": {"mounts": [{"mount": "/", "size_available": 3.25e9}]}}, "n1 has 3.2 GB free under /var/lib"),
        ({"node_hostname": "N_1"}, "node_hostname N_1 of n1 cannot be a node's name"),
        ({"hostvars": {"n2": {"node_hostname": "n1"}}}, "n1 and n2 have the same hostname n1"),
        ({"hostvars": {"n2": {"ansible_facts": {"machine_id": "aaa"}}}}, "n1 and n2 have the same machine-id"),
        (
            {"fact": {"dns": {"nameservers": ["127.0.0.11"]}}},
            "The nameserver 127.0.0.11 in /etc/resolv.conf of n1 is a loopback",
        ),
        ({"node_hosts_group": "clustre"}, "node_hosts_group names the group clustre"),
    ],
)
def test_what_is_wrong_with_a_host_is_one_sentence(more, words):
    problems = failed("node", **more)
    assert len(problems) == 1 and words in problems[0]
    assert problems[0].rstrip().endswith((".", "reboot.")) and "\n" not in problems[0].strip()


def test_the_file_behind_systemd_resolved_is_good_enough():
    stub = {"dns": {"nameservers": ["127.0.0.53"]}}
    assert failed("node", fact=stub, __node_resolved={"stat": {"exists": True}}) == []
    assert len(failed("node", fact=stub, __node_resolved={"stat": {"exists": False}})) == 1


def test_a_host_that_is_a_node_is_not_asked_for_free_space():
    small = {"mounts": [{"mount": "/", "size_available": 1e9}], "interfaces": ["lo", "cni0", "flannel.1"]}
    assert failed("node", fact=small) == []
    assert failed("node", fact={"mounts": []}) == []


def test_hosts_of_all_nodes():
    hostvars = {
        "n1": {"ansible_host": "192.0.2.11", "ansible_facts": {"default_ipv4": {"address": "10.0.2.15"}}},
        "n2": {
            "ansible_host": "n2.example",
            "node_hostname": "two",
            "ansible_facts": {"default_ipv4": {"address": "192.0.2.12"}},
        },
        "n3": {"node_address": "fd00::3", "ansible_host": "192.0.2.13"},
        "n4": {"ansible_facts": {}},
    }
    text = text_of("node", "hosts.j2", hostvars=hostvars, groups={"cluster": list(hostvars)})
    assert text.splitlines() == ["192.0.2.11 n1", "192.0.2.12 two", "fd00::3 n3"]


SHOWN = """Id=firewalld.service
LoadState=loaded
ActiveState=inactive
UnitFileState=enabled

Id=ufw.service
LoadState=not-found
ActiveState=inactive
UnitFileState=

Id={time}
LoadState=loaded
ActiveState={active}
UnitFileState=enabled"""


@pytest.mark.parametrize(
    ("time", "active", "runs"),
    [
        ("chrony.service", "active", True),
        ("systemd-timesyncd.service", "inactive", False),
        ("cron.service", "active", False),
    ],
)
def test_firewalls_and_time_services_are_read_from_systemd(time, active, runs):
    answer = {"stdout": SHOWN.format(time=time, active=active)}
    assert render("node", "_node_firewalls", __node_services=answer) == ["firewalld"]
    assert render("node", "_node_time_runs", __node_services=answer) is runs
    assert render("node", "_node_firewalls", __node_services={"skipped": True}) == []


@pytest.mark.parametrize(
    ("system", "index", "url"),
    [
        ("debian12", "dists/bookworm/stable/binary-amd64/Packages.gz", "debian"),
        ("ubuntu24", "dists/noble/stable/binary-amd64/Packages.gz", "ubuntu"),
        ("rhel9", "9/x86_64/stable/repodata/repomd.xml", "rhel"),
        ("alma10", "10/x86_64/stable/repodata/repomd.xml", "centos"),
    ],
)
def test_the_repository_of_each_family(system, index, url):
    bases = ["http://mirror.example/docker/linux/", "https://download.docker.com/linux"]
    more = {"system": system, "containerd_repositories": bases}
    urls = [f"http://mirror.example/docker/linux/{url}", f"https://download.docker.com/linux/{url}"]
    assert render("containerd", "_containerd_urls", **more) == urls
    assert render("containerd", "_containerd_index", **more)[0] == index
    assert render("containerd", "_containerd_key_urls", **more) == [f"{one}/gpg" for one in urls]


def test_arm_machines_read_the_index_of_their_own():
    arm = {"fact": {"architecture": "aarch64"}}
    assert "binary-arm64" in render("containerd", "_containerd_index", **arm)[0]
    assert "10/aarch64/" in render("containerd", "_containerd_index", system="alma10", **arm)[0]


def test_the_sources_file_of_apt():
    found = {"url": "http://mirror.example/docker/linux/ubuntu"}
    text = text_of("containerd", "docker.sources.j2", system="ubuntu24", __containerd_repository=found)
    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert fields == {
        "Types": "deb", "URIs": found["url"], "Suites": "noble", "Components": "stable", "Architectures": "amd64",
        "Signed-By": "/etc/apt/keyrings/meshops-docker.asc",
    }  # fmt: skip


@pytest.mark.parametrize(("system", "major"), [("rhel9", "9"), ("rocky9", "9"), ("alma10", "10")])
def test_the_repository_file_of_dnf(system, major):
    found = {"url": "https://mirror.example/docker/linux/centos"}
    parser = configparser.ConfigParser()
    parser.read_string(text_of("containerd", "docker-ce.repo.j2", system=system, __containerd_repository=found))
    repository = parser["docker-ce-stable"]
    assert repository["baseurl"] == f"{found['url']}/{major}/x86_64/stable"
    assert (repository["gpgcheck"], repository["gpgkey"]) == ("1", "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-meshops-docker")


def test_a_foreign_repository_file_of_dnf_is_kept_as_a_backup_and_the_version_locked():
    task = next(task for task in load("containerd", "tasks/repository.yml") if "ansible.builtin.template" in task)
    for system, kept in (("rocky9", True), ("debian13", False)):
        made = templar("containerd", variables("containerd", system=system))
        assert made.template(task["ansible.builtin.template"]["backup"]) is kept
    lock = next(task for task in load("containerd", "tasks/install_RedHat.yml") if "ansible.builtin.lineinfile" in task)
    line = templar("containerd", variables("containerd", system="rocky9")).template(
        lock["ansible.builtin.lineinfile"]["line"]
    )
    assert line == "containerd.io-0:2.3.4-*"


def test_the_configuration_of_containerd():
    text = text_of("containerd", "config.toml.j2")
    lines = text.splitlines()
    assert "version = 3" in lines and "  SystemdCgroup = true" in lines
    assert (
        "  sandbox = 'registry.k8s.io/pause:3.10.2'" in lines and "  config_path = '/etc/containerd/certs.d'" in lines
    )
    assert text_of("containerd", "extra.toml.j2", containerd_config_extra="[a]\nb = 1\n").splitlines()[1:] == [
        "version = 3",
        "[a]",
        "b = 1",
    ]
    assert text_of("containerd", "extra.toml.j2", containerd_config_extra="version = 2\n").count("version") == 1


def test_the_mirrors_of_registries():
    files = containerd_hosts([
        {"registry": "docker.io", "endpoints": ["https://a.example", "http://b.example:5000"], "skip_verify": True},
        {"registry": "_default", "endpoints": ["http://m.example"], "ca": "/etc/ca.pem"},
        {"registry": "quay.io", "endpoints": []},
    ])  # fmt: skip
    assert [file["path"] for file in files] == [
        f"/etc/containerd/certs.d/{x}/hosts.toml" for x in ("docker.io", "_default", "quay.io")
    ]
    first, default, removed = (file["content"] for file in files)
    assert (
        first.index('server = "https://registry-1.docker.io"')
        < first.index("a.example")
        < first.index("b.example:5000")
    )
    assert (
        "skip_verify = true" in first
        and "server" not in default
        and 'ca = "/etc/ca.pem"' in default
        and removed is None
    )


def test_bad_input_of_containerd():
    assert "older than 2.0" in failed("containerd", containerd_version="1.7.28")[0]
    twice = [{"registry": "docker.io", "endpoints": ["http://a"]}] * 2
    assert "names a registry twice" in failed("containerd", containerd_registry_mirrors=twice)[0]
    assert "cannot install on SLES" in failed("containerd", system="sles15")[0]


def test_the_servers_of_a_mirror():
    web = text_of("mirror", "nginx.conf.j2", mirror_http_port=8080)
    assert "listen 8080 default_server;" in web and "root /srv/mirror/www;" in web and "root /srv/mirror/files;" in web
    dns = text_of(
        "mirror", "dnsmasq.conf.j2", mirror_dns_upstreams=["192.0.2.53"], mirror_dns_records={"a.example": "192.0.2.7"}
    )
    assert {"no-resolv", "server=192.0.2.53", "address=/a.example/192.0.2.7"} <= set(dns.splitlines())
    assert "no-resolv" not in text_of("mirror", "dnsmasq.conf.j2")
    registry = DataLoader().load(text_of("mirror", "registry.yml.j2", mirror_registry_read_only=True))
    assert registry["storage"]["maintenance"]["readonly"]["enabled"] is True
    assert json.dumps(registry["http"]["addr"]) == '":5000"'


def test_bad_input_of_a_mirror():
    assert "needs the packages of Debian or Ubuntu" in failed("mirror", system="rocky9")[0]
    twice = [{"path": "a", "packages_dir": "/p"}] * 2
    assert "names a path twice" in failed("mirror", mirror_apt_repositories=twice)[0]
    assert "are the same" in failed("mirror", mirror_registry_port=80)[0]
