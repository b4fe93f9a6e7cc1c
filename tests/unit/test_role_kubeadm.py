"""What the role kubeadm renders: documents for kubeadm, repositories of apt and dnf, the sentences of its checks."""

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.meshops.istio.plugins.filter.cidr_overlaps import cidr_overlaps

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "kubeadm"
CA, OTHER = "sha256:aa", "sha256:bb"
PROBE = {"node_state": "absent", "ca_hash": "", "server": "", "versions": {"kubelet": ""}}
FACTS = {
    "os_family": "Debian",
    "distribution": "Debian",
    "architecture": "x86_64",
    "all_ipv4_addresses": ["192.0.2.12", "198.51.100.7"],
    "default_ipv4": {"address": "198.51.100.7"},
}


def load(name):
    return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)


def variables(family="Debian", host="n2", **more):
    values = {**load("defaults/main.yml"), **load("vars/main.yml"), **load(f"vars/{family}.yml")}
    values["ansible_facts"] = {**FACTS, "os_family": family}
    first = {"__kubeadm_probe": PROBE}
    values.update(
        inventory_hostname=host,
        inventory_dir="/site",
        ansible_host="192.0.2.12",
        ansible_managed="managed",
        groups={"control_plane": ["n1"], "workers": ["n2", "n3"]},
        hostvars={"n1": first, "n2": {"__kubeadm_probe": PROBE}, "n3": {"__kubeadm_probe": PROBE}},
        ansible_play_hosts=["n1", "n2", "n3"],
        __kubeadm_probe=PROBE,
        __kubeadm_repository={"url": "https://mirror.example/v1.36/rpm", "problem": "", "current": False},
    )
    return {**values, **more}


def templar(values):
    made = Templar(loader=DataLoader(), variables=values)
    made.environment.filters["meshops.istio.cidr_overlaps"] = cidr_overlaps
    return made


def render(expression, **more):
    return templar(variables(**more)).template(trust_as_template("{{ " + expression + " }}"))


def rendered_file(name, **more):
    text = trust_as_template((ROLE / "templates" / name).read_text())
    return templar(variables(**more)).template(text)


def failed(**more):
    """Sentences of the checks that fail."""
    task = next(task for task in load("tasks/preflight.yml") if "meshops.istio.preflight" in task)
    values = {**variables(**more), **task["vars"]}
    checks = templar(values).template(task["meshops.istio.preflight"]["checks"])
    return [check["msg"] for check in checks if not check["that"]]


def test_documents_of_a_plain_cluster():
    init, cluster, kubelet, proxy = render("_kubeadm_init_documents", host="n1")
    assert init["localAPIEndpoint"] == {"advertiseAddress": "192.0.2.12"}
    assert init["nodeRegistration"]["name"] == "n1"
    assert init["nodeRegistration"]["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert init["bootstrapTokens"][0]["ttl"] == "1m0s"
    assert cluster["kubernetesVersion"] == "v1.36.3"
    assert cluster["networking"] == {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12"}
    assert cluster["apiServer"] == {"extraArgs": [], "extraVolumes": []}
    assert (kubelet["cgroupDriver"], proxy["mode"]) == ("systemd", "iptables")
    assert all(
        part["apiVersion"].startswith(("kubeadm.k8s.io/v1beta4", "kubelet", "kubeproxy")) for part in (init, cluster)
    )


def test_user_dictionaries_are_merged_and_api_server_lists_appended():
    mine = {"name": "v", "value": "2"}
    documents = render(
        "_kubeadm_init_documents",
        kubeadm_audit_policy={"kind": "Policy"},
        kubeadm_init_config={"nodeRegistration": {"taints": []}},
        kubeadm_cluster_config={
            "apiServer": {"extraArgs": [mine], "certSANs": ["x"]},
            "networking": {"dnsDomain": "d"},
        },
        kubeadm_kubelet_config={"failCgroupV1": False, "imageGCHighThresholdPercent": 100},
        kubeadm_kube_proxy_config={"conntrack": {"maxPerCore": 0}},
    )
    init, cluster, kubelet, proxy = documents
    assert init["nodeRegistration"]["taints"] == []
    assert init["nodeRegistration"]["name"] == "n2"
    names = [entry["name"] for entry in cluster["apiServer"]["extraArgs"]]
    assert names == ["audit-policy-file", "audit-log-path", "audit-log-maxsize", "audit-log-maxbackup", "v"]
    assert all(isinstance(entry["value"], str) for entry in cluster["apiServer"]["extraArgs"])
    assert [volume["name"] for volume in cluster["apiServer"]["extraVolumes"]] == ["audit-policy", "audit-log"]
    assert cluster["apiServer"]["certSANs"] == ["x"]
    assert cluster["networking"]["podSubnet"] == "10.244.0.0/16"
    assert (kubelet["failCgroupV1"], kubelet["imageGCHighThresholdPercent"]) == (False, 100)
    assert proxy["conntrack"] == {"maxPerCore": 0}


def test_workers_join_where_the_control_plane_says():
    first = {"__kubeadm_probe": PROBE, "__kubeadm_init": {"ca_hash": CA, "server": "https://192.0.2.11:6443"}}
    (document,) = render("_kubeadm_join_documents", hostvars={"n1": first})
    assert document["discovery"]["bootstrapToken"] == {"apiServerEndpoint": "192.0.2.11:6443"}
    assert render("_kubeadm_cluster_ca", hostvars={"n1": first}) == CA


def test_a_limited_run_asks_the_control_plane():
    more = {"__kubeadm_control_plane": {"ca_hash": CA, "server": "https://192.0.2.11:6443"}, "hostvars": {"n1": {}}}
    assert render("_kubeadm_cluster_ca", **more) == CA
    assert render("_kubeadm_cluster_endpoint", **more) == "192.0.2.11:6443"
    assert render("_kubeadm_cluster_endpoint", kubeadm_control_plane_endpoint="k8s:6443", **more) == "k8s:6443"


@pytest.mark.parametrize(
    ("states", "joining"),
    [
        (("initialised", "joined", "joined"), []),
        (("initialised", "joined", "absent"), ["n3"]),
        (("absent", "half-joined", "absent"), ["n2", "n3"]),
    ],
)
def test_only_joining_workers_need_a_token(states, joining):
    hostvars = {f"n{i}": {"__kubeadm_probe": {"node_state": state}} for i, state in enumerate(states, 1)}
    assert sorted(render("_kubeadm_joining", hostvars=hostvars)) == joining


def test_address_of_the_node():
    assert render("kubeadm_advertise_address") == "192.0.2.12"
    assert render("kubeadm_advertise_address", ansible_host="203.0.113.1") == "198.51.100.7"


def test_apt_repository():
    assert render("_kubeadm_urls") == ["https://pkgs.k8s.io/core:/stable:/v1.36/deb"]
    assert render("_kubeadm_key_urls", kubeadm_repositories=["http://m/k8s/"]) == ["http://m/k8s/v1.36/deb/Release.key"]
    assert rendered_file("kubernetes.sources.j2").splitlines() == [
        "# managed",
        "Types: deb",
        "URIs: https://mirror.example/v1.36/rpm/",
        "Suites: /",
        "Signed-By: /etc/apt/keyrings/meshops-kubernetes.asc",
    ]


def test_dnf_repository_and_pins():
    assert render("_kubeadm_pins", family="RedHat") == ["kubelet-1.36.3", "kubeadm-1.36.3", "kubectl-1.36.3"]
    assert render("_kubeadm_urls", family="RedHat") == ["https://pkgs.k8s.io/core:/stable:/v1.36/rpm"]
    assert render("_kubeadm_key_urls", family="RedHat")[0].endswith("/v1.36/rpm/repodata/repomd.xml.key")
    lines = rendered_file("kubernetes.repo.j2", family="RedHat").splitlines()
    assert lines[1] == "[kubernetes]"
    assert "baseurl=https://mirror.example/v1.36/rpm/" in lines
    assert "gpgcheck=1" in lines
    assert "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-meshops-kubernetes" in lines
    assert lines[-1] == "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni"
    names = [task for task in load("tasks/install_RedHat.yml") if "ansible.builtin.dnf" in task]
    assert names[0]["ansible.builtin.dnf"]["disable_excludes"] == "kubernetes"


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_os_families_have_the_same_table(family):
    assert list(load(f"vars/{family}.yml")) == list(load("vars/Debian.yml"))


def test_good_input_has_no_problem():
    assert failed() == []
    assert failed(host="n1") == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kubeadm_version": "v1.36.3"}, "is no version"),
        ({"kubeadm_version": "1.36"}, "is no version"),
        ({"kubeadm_version": "1.30.9"}, "older than 1.31"),
        ({"groups": {"control_plane": ["n1", "n2"]}}, "has 2 hosts (n1, n2). Name exactly one"),
        ({"kubeadm_pod_cidr": "10.96.128.0/17"}, "overlaps kubeadm_service_cidr 10.96.0.0/12"),
        ({"kubeadm_pod_cidr": "192.0.2.0/24"}, "contains the node n2 (192.0.2.12)"),
        ({"kubeadm_service_cidr": "192.0.2.0/24"}, "contains the node n2 (192.0.2.12)"),
        ({"kubeadm_advertise_address": ""}, "Set kubeadm_advertise_address"),
        (
            {"__kubeadm_probe": {**PROBE, "node_state": "foreign", "server": "https://x:6443"}},
            "another cluster (https://x:6443)",
        ),
        ({"__kubeadm_probe": {**PROBE, "node_state": "joined", "ca_hash": OTHER}}, "belongs to another cluster"),
        ({"host": "n1", "__kubeadm_probe": {**PROBE, "node_state": "joined"}}, "is a worker of"),
        (
            {"__kubeadm_probe": {**PROBE, "node_state": "joined", "versions": {"kubelet": "1.35.4"}}},
            "runs Kubernetes 1.35.4 and kubeadm_version is 1.36.3",
        ),
    ],
)
def test_bad_input_gets_one_sentence(more, words):
    (message,) = failed(**more)
    assert words in message


def test_no_control_plane():
    assert "has 0 hosts (none)" in failed(groups={"workers": ["n2"]})[0]


def test_unknown_system():
    task = {**FACTS, "os_family": "Suse", "distribution": "SLES"}
    assert "cannot install on SLES" in failed(ansible_facts=task)[0]


def test_documented_options_are_the_defaults():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    for spec in specs.values():
        assert {name: option["default"] for name, option in spec["options"].items()} == defaults
