"""The module's work on a pretended node: what is run, what is written, what is removed, and what is never shown."""

import ast
import json
import os
import stat
from pathlib import Path

import pytest
import yaml
from kubeadm_world import Node, authority, finish, initialise, join, kubeconfig

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_node import core
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_system import Result, System

CA = authority("kubernetes")[2]
TOKEN = "abcdef.0123456789abcdef"
INIT = [
    {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "nodeRegistration": {"name": "n1"}},
    {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "kubernetesVersion": "v1.36.3"},
]
JOIN = [
    {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "nodeRegistration": {"name": "n2"},
        "discovery": {"bootstrapToken": {"apiServerEndpoint": "192.0.2.11:6443"}},
    }
]


def params(state, **more):
    values = {"state": state, "name": None, "config": INIT if state == "initialized" else [], "token": None}
    values.update(ca_hash="", ignore_preflight_errors=[], cri_socket="unix:///run/c.sock", kubeconfigs=[], paths=[])
    return {**values, "timeout": 60, **more}


def joined(**more):
    return params("joined", config=JOIN, token=TOKEN, ca_hash=CA, **more)


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def tree(node):
    return {str(path): path.read_text() for path in node.root.rglob("*") if path.is_file()}


def test_init_of_a_new_node(node):
    seen = {}

    def kubeadm(argv, config):
        seen["mode"] = stat.S_IMODE(Path(config).stat().st_mode)
        seen["documents"] = list(yaml.safe_load_all(Path(config).read_text()))
        initialise(node, "done")
        return Result(0, "", "")

    node.on_kubeadm = kubeadm
    result = core(params("initialized"), False, node)
    assert (result["changed"], result["node_state_before"], result["node_state"]) == (True, "absent", "initialised")
    assert (result["ca_hash"], result["server"]) == (CA, "https://192.0.2.11:6443")
    assert result["diff"] == {"before": "node n1: absent\n", "after": "node n1: initialised\n"}
    assert seen["mode"] == 0o600
    assert seen["documents"] == INIT
    assert not list(node.path("/run").glob("*.yaml"))


def test_second_run_only_reads(node):
    initialise(node, "done")
    before = tree(node)
    result = core(params("initialized"), False, node)
    assert not result["changed"]
    assert not node.kubeadm_commands
    assert {path: text for path, text in tree(node).items() if not path.endswith(".lock")} == before


@pytest.mark.parametrize("state", ["initialized", "joined", "reset"])
def test_check_mode_on_a_machine_without_kubeadm(node, state):
    node.programs.clear()
    result = core(params(state, config=INIT if state == "initialized" else JOIN), True, node)
    assert result["changed"] == (state != "reset")
    assert result["node_state"] == {"initialized": "initialised", "joined": "joined", "reset": "absent"}[state]
    assert not node.kubeadm_commands
    assert not tree(node)


def test_without_kubeadm_it_says_what_to_do(node):
    node.programs.remove("kubelet")
    with pytest.raises(MeshopsError, match=r"kubelet is not installed on n1\. Install"):
        core(params("initialized"), False, node)


def test_resume_keeps_the_ca(node):
    initialise(node, "etcd")
    key = node.read("/etc/kubernetes/pki/ca.key")

    def kubeadm(argv, config):
        finish(node)
        return Result(0, "", "")

    node.on_kubeadm = kubeadm
    result = core(params("initialized", ignore_preflight_errors=["SystemVerification"]), False, node)
    assert result["actions"] == ["kubeadm init, resumed with the existing CA"]
    (argv,) = node.kubeadm_commands
    assert "SystemVerification" in argv[-1]
    assert "DirAvailable--var-lib-etcd" in argv[-1]
    assert node.read("/etc/kubernetes/pki/ca.key") == key


def test_broken_leftovers_are_reset_and_their_certificate_goes_first(node):
    initialise(node, "ca key")
    node.write("/etc/kubernetes/pki/ca.crt", "-----BEGIN")
    order = []

    def kubeadm(argv, config):
        order.append((argv[1], node.read("/etc/kubernetes/pki/ca.crt")))
        if argv[1] == "init":
            initialise(node, "done")
        return Result(0, "", "")

    node.on_kubeadm = kubeadm
    core(params("initialized"), False, node)
    assert order == [("reset", None), ("init", None)]


def test_an_api_server_that_is_starting_is_waited_for(node):
    initialise(node, "done")
    node.kubelet, node.error = "active", "connection refused"

    def sleep(seconds):
        node.now += seconds
        if node.now > 5:
            node.error = ""

    node.sleep = sleep
    assert core(params("initialized"), False, node)["changed"] is False


def test_a_failed_init_is_one_sentence_and_can_be_repeated(node):
    node.on_kubeadm = lambda argv, config: Result(1, "", f"error execution phase preflight: {TOKEN}: no\n")
    with pytest.raises(MeshopsError) as caught:
        core(params("initialized"), False, node)
    assert TOKEN not in str(caught.value)
    assert str(caught.value).startswith("kubeadm init on n1 failed: error execution phase preflight")


def test_success_of_kubeadm_is_not_believed_blindly(node):
    node.on_kubeadm = lambda argv, config: Result(0, "", "")
    with pytest.raises(MeshopsError, match="ended well on n1, but the node is absent"):
        core(params("initialized"), False, node)


def test_join_hides_its_token(node):
    seen = {}

    def kubeadm(argv, config):
        seen["document"] = yaml.safe_load(Path(config).read_text())
        join(node, "done")
        return Result(0, "", "")

    node.on_kubeadm = kubeadm
    result = core(joined(), False, node)
    assert seen["document"]["discovery"]["bootstrapToken"]["token"] == TOKEN
    assert seen["document"]["discovery"]["bootstrapToken"]["caCertHashes"] == [CA]
    assert (result["node_state_before"], result["node_state"]) == ("absent", "joined")
    assert TOKEN not in json.dumps(result)
    assert TOKEN not in json.dumps(node.commands)
    assert not list(node.path("/run").glob("*.yaml"))


def test_join_without_a_pin_is_refused(node):
    with pytest.raises(MeshopsError, match="ca_hash is empty"):
        core(params("joined", config=JOIN, token=TOKEN), False, node)


def test_a_node_of_another_cluster_is_refused_in_check_mode_too(node):
    join(node, "done", ca="other")
    for check_mode in (True, False):
        with pytest.raises(MeshopsError, match="n2 belongs to another cluster"):
            core(joined(), check_mode, node)


def test_a_node_that_is_about_to_register_is_waited_for(node):
    join(node, "kubelet")
    node.kubelet = "active"

    def sleep(seconds):
        node.now += seconds
        node.serve("nodes/n2")

    node.sleep = sleep
    assert core(joined(), False, node)["changed"] is False


def test_probe_never_writes(node):
    initialise(node, "certs")
    node.answers = {
        "kubeadm version -o short": Result(0, "v1.36.3\n", ""),
        "kubelet --version": Result(0, "Kubernetes v1.35.4\n", ""),
        "kubectl version --client -o json": Result(0, '{"clientVersion": {"gitVersion": "v1.36.3", "x": 1}}', ""),
    }
    before = tree(node)
    result = core(params("probed", name="N1"), False, node)
    assert (result["node"], result["node_state"], result["changed"]) == ("n1", "half-initialised", False)
    assert result["versions"] == {"kubeadm": "1.36.3", "kubelet": "1.35.4", "kubectl": "1.36.3"}
    assert tree(node) == before


def used(node):
    """A worker that has run pods."""
    join(node, "done")
    node.kubelet = "active"
    node.programs |= {"iptables-nft-save", "iptables-legacy-save", "nft", "ip"}
    for path in ("/etc/cni/net.d/10-flannel.conflist", "/var/lib/cni/results/x", "/run/flannel/subnet.env"):
        node.write(path, "x")
    for path in ("/sys/class/net/cni0/brif/veth1/x", "/sys/class/net/flannel.1/x", "/sys/class/net/eth0/x"):
        node.write(path, "x")
    node.write("/sys/class/net/veth1/x", "x")
    node.write("/home/ops/.kube/config", kubeconfig())
    node.write("/home/eva/.kube/config", kubeconfig("other"))
    mounts = (
        "tmpfs / tmpfs rw 0 0\ntmpfs /var/lib/kubelet/pods/a\\040b tmpfs rw 0 0\ntmpfs /var/lib/kubelet ext4 rw 0 0\n"
    )
    node.write("/proc/self/mounts", mounts)
    saved = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
    node.answers["iptables-nft-save"] = Result(0, saved, "")
    node.answers["nft -j list tables"] = Result(
        0, '{"nftables": [{"table": {"family": "ip", "name": "kube-proxy"}}]}', ""
    )
    real = node.run

    def run(argv, timeout=60, data=None):
        effects = {
            "systemctl stop kubelet": lambda: setattr(node, "kubelet", "inactive"),
            "umount /var/lib/kubelet/pods/a b": lambda: node.write("/proc/self/mounts", "tmpfs / tmpfs rw 0 0\n"),
            "ip link delete veth1": lambda: [node.remove(f"/sys/class/net/{p}veth1") for p in ("", "cni0/brif/")],
            "ip link delete cni0": lambda: node.remove("/sys/class/net/cni0"),
            "ip link delete flannel.1": lambda: node.remove("/sys/class/net/flannel.1"),
            "iptables-nft-restore --noflush": lambda: node.answers.pop("iptables-nft-save"),
            "nft delete table ip kube-proxy": lambda: node.answers.pop("nft -j list tables"),
        }
        result = real(argv, timeout, data)
        effects.get(" ".join(argv), lambda: None)()
        return result

    node.run = run


def reset(node, check_mode):
    return core(
        params("reset", name="n2", kubeconfigs=["/home/ops/.kube/config", "/home/eva/.kube/config"]), check_mode, node
    )


def test_reset_lists_in_check_mode_exactly_what_it_removes(node):
    used(node)
    before = tree(node)
    planned = reset(node, True)
    assert tree(node) == before
    done = reset(node, False)
    assert planned["removed"] == done["removed"]
    assert planned["actions"] == done["actions"]
    assert planned["diff"] == done["diff"]
    assert set(done["removed"]) == {
        "service kubelet (stopped)",
        "mount /var/lib/kubelet/pods/a b",
        "/home/ops/.kube/config",
        "/etc/kubernetes",
        "the content of /etc/cni/net.d",
        "the content of /var/lib/kubelet",
        "/var/lib/cni",
        "/run/flannel",
        "network interface veth1",
        "network interface cni0",
        "network interface flannel.1",
        "iptables-nft: 1 chains and 1 rules of KUBE, FLANNEL and CNI",
        "nft table ip kube-proxy",
    }


def test_reset_keeps_mount_points_the_cni_directory_and_what_is_not_ours(node):
    used(node)
    reset(node, False)
    assert node.path("/var/lib/kubelet").is_dir()
    assert node.names("/var/lib/kubelet") == []
    assert node.path("/etc/cni/net.d").is_dir()
    assert node.names("/sys/class/net") == ["eth0"]
    assert node.read("/home/eva/.kube/config")
    assert node.read("/home/ops/.kube/config") is None
    restored = node.inputs[node.commands.index(["iptables-nft-restore", "--noflush"])]
    assert "-D PREROUTING -j KUBE-SERVICES" in restored


def test_second_reset_changes_nothing(node):
    used(node)
    reset(node, False)
    count = len(node.kubeadm_commands)
    again = reset(node, False)
    assert (again["changed"], again["removed"], len(node.kubeadm_commands)) == (False, [], count)


def test_a_mount_that_stays_stops_the_reset_before_any_file_goes(node):
    used(node)
    real = node.run
    node.run = lambda argv, timeout=60, data=None: (
        Result(32, "", "target is busy") if argv[0] == "umount" else real(argv, timeout, data)
    )
    with pytest.raises(MeshopsError, match="target is busy"):
        reset(node, False)
    assert node.read("/etc/kubernetes/kubelet.conf")


def test_a_kubeadm_of_a_killed_run_is_waited_for(tmp_path):
    first, second = System(str(tmp_path)), Node(tmp_path)
    with first.lock(1, True):
        for write in (True, False):
            with pytest.raises(MeshopsError, match="earlier run still works"), second.lock(2, write):
                pass
    with second.lock(1, True):
        pass


def test_a_child_keeps_the_lock_of_its_killed_parent(tmp_path):
    (tmp_path / "run").mkdir()
    system, other = System(str(tmp_path)), Node(tmp_path)
    with system.lock(1, True):
        path = tmp_path / "pid"
        system.run(["sh", "-c", f"sleep 30 >/dev/null 2>&1 & echo $! > {path}"], timeout=10)
    child = int(path.read_text())
    try:
        with pytest.raises(MeshopsError, match="earlier run"), other.lock(1, True):
            pass
    finally:
        os.kill(child, 9)


def test_a_command_that_never_ends_is_stopped(tmp_path):
    assert System(str(tmp_path)).run(["sleep", "30"], timeout=0.2).rc == 124


def test_the_module_documents_its_options():
    text = (Path(__file__).parents[2] / "plugins/modules/kubeadm_node.py").read_text()
    documentation = next(
        ast.literal_eval(entry.value)
        for entry in ast.parse(text).body
        if isinstance(entry, ast.Assign) and entry.targets[0].id == "DOCUMENTATION"
    )
    assert set(yaml.safe_load(documentation)["options"]) == set(params("reset"))
