"""What state a node is in and what is done about it: a table over kubeadm killed at every phase."""

import pytest
from kubeadm_world import SERVER, Node, authority, initialise, join, kubeconfig

from ansible_collections.meshops.istio.plugins.module_utils import kubeadm
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_evidence import gather, joined_ca
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_files import (
    bind_port,
    etcd_directory,
    mask,
    parse_kubeconfig,
    required_objects,
    spki_hash,
    with_discovery,
)
from ansible_collections.meshops.istio.plugins.module_utils.kubeadm_rules import nft_tables, removal

CA = authority("kubernetes")[2]
OTHER = authority("other")[2]
CA_CRT, CA_KEY = "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def kinds(plan):
    return [action.kind for action in plan.actions]


def ignored(plan):
    option = next((word for word in plan.actions[-1].argv if word.startswith("--ignore")), "=")
    return set(filter(None, option.partition("=")[2].split(",")))


@pytest.mark.parametrize(
    ("phase", "state", "actions"),
    [
        ("nothing", "absent", ["init"]),
        ("ca key", "half-initialised", ["reset", "init"]),
        ("ca", "half-initialised", ["init"]),
        ("certs", "half-initialised", ["init"]),
        ("kubeconfigs", "half-initialised", ["init"]),
        ("manifests", "half-initialised", ["init"]),
        ("kubelet", "half-initialised", ["init"]),
        ("etcd", "half-initialised", ["init"]),
        ("api", "half-initialised", ["init"]),
        ("uploaded", "half-initialised", ["init"]),
        ("done", "initialised", []),
    ],
)
def test_init_killed_at_every_phase(node, phase, state, actions):
    initialise(node, phase)
    plan = kubeadm.plan_init(gather(node, "n1"))
    assert (plan.state, kinds(plan), plan.refusal) == (state, actions, "")


@pytest.mark.parametrize("phase", ["ca", "certs", "kubeconfigs", "manifests", "kubelet", "etcd", "api", "uploaded"])
def test_a_resumed_init_ignores_only_what_its_leftovers_cause(node, phase):
    initialise(node, phase)
    names = ignored(kubeadm.plan_init(gather(node, "n1")))
    assert "all" not in names
    assert ("FileAvailable--etc-kubernetes-manifests-etcd.yaml" in names) == (
        phase not in ("ca", "certs", "kubeconfigs")
    )
    assert ("Port-6443" in names) == (phase not in ("ca", "certs", "kubeconfigs"))
    assert ("DirAvailable--var-lib-etcd" in names) == (phase in ("etcd", "api", "uploaded"))
    assert ("Port-10250" in names) == (phase in ("kubelet", "etcd", "api", "uploaded"))


def test_a_first_init_ignores_what_the_user_named_and_nothing_else(node):
    plan = kubeadm.plan_init(gather(node, "n1"), ["SystemVerification"])
    assert plan.actions[0].argv[-1] == "--ignore-preflight-errors=SystemVerification"
    assert "--skip-token-print" in plan.actions[0].argv


@pytest.mark.parametrize(
    "missing", ["services/kube-dns", "daemonsets.apps/kube-proxy", "configmaps/cluster-info", "label"]
)
def test_one_missing_piece_is_not_initialised(node, missing):
    initialise(node, "done")
    if missing == "label":
        node.kinds[0]["metadata"]["labels"] = {}
    node.kinds = [item for item in node.kinds if f"{item['resource']}/{item['metadata']['name']}" != missing]
    assert kubeadm.classify(gather(node, "n1")) == "half-initialised"


def test_addons_that_are_switched_off_are_not_missed(node):
    initialise(node, "done")
    node.kinds = [item for item in node.kinds if item["resource"] not in ("daemonsets.apps", "services")]
    node.kinds = [item for item in node.kinds if item["resource"] != "deployments.apps"]
    config = [{"kind": "ClusterConfiguration", "dns": {"disabled": True}, "proxy": {"disabled": True}}]
    assert kubeadm.classify(gather(node, "n1", config)) == "initialised"


@pytest.mark.parametrize("broken", [CA_KEY, CA_CRT, "/etc/kubernetes/pki/sa.key", "/etc/kubernetes/pki/etcd/ca.crt"])
def test_broken_authority_without_data_starts_again(node, broken):
    initialise(node, "kubeconfigs")
    node.write(broken, "-----BEGIN")
    assert kinds(kubeadm.plan_init(gather(node, "n1"))) == ["reset", "init"]


@pytest.mark.parametrize("broken", [CA_KEY, CA_CRT, "/etc/kubernetes/pki/sa.key", "/etc/kubernetes/pki/etcd/ca.crt"])
def test_broken_authority_with_data_is_refused_never_a_second_ca(node, broken):
    initialise(node, "api")
    node.write(broken, "")
    plan = kubeadm.plan_init(gather(node, "n1"))
    assert not plan.actions
    assert "n1" in plan.refusal
    assert "second CA" in plan.refusal
    assert "backup" in plan.refusal


def test_data_without_any_ca_is_refused(node):
    node.write("/var/lib/etcd/member/snap/db", "data")
    assert "second CA" in kubeadm.plan_init(gather(node, "n1")).refusal


def test_another_ca_key_is_no_leftover(node):
    initialise(node, "certs")
    node.write(CA_KEY, authority("other")[1])
    plan = kubeadm.plan_init(gather(node, "n1"))
    assert not plan.actions
    assert "Put the right ca.key" in plan.refusal


@pytest.mark.parametrize("name", ["/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/admin.conf"])
def test_truncated_derived_files_with_data_are_removed_and_the_ca_kept(node, name):
    initialise(node, "api")
    node.write(name, (node.read(name) or "")[:60])
    plan = kubeadm.plan_init(gather(node, "n1"))
    assert kinds(plan) == ["remove", "init"]
    assert name in plan.actions[0].paths
    assert not {CA_CRT, CA_KEY} & set(plan.actions[0].paths)


def test_truncated_derived_files_without_data_start_again(node):
    initialise(node, "kubeconfigs")
    node.write("/etc/kubernetes/scheduler.conf", kubeconfig()[:700])
    assert kinds(kubeadm.plan_init(gather(node, "n1"))) == ["reset", "init"]


def test_a_finished_control_plane_without_answer_is_not_redone(node):
    initialise(node, "done")
    node.error = "dial tcp 192.0.2.11:6443: connect: connection refused"
    plan = kubeadm.plan_init(gather(node, "n1"))
    assert not plan.actions
    assert "connection refused" in plan.refusal


def test_custom_port_and_etcd_directory_are_known(node):
    config = [
        {"kind": "InitConfiguration", "localAPIEndpoint": {"bindPort": 8443}},
        {"kind": "ClusterConfiguration", "etcd": {"local": {"dataDir": "/srv/etcd"}}},
    ]
    initialise(node, "manifests")
    node.write("/srv/etcd/member/x", "data")
    evidence = gather(node, "n1", config)
    names = ignored(kubeadm.plan_init(evidence, (), bind_port(config), etcd_directory(config)))
    assert {"Port-8443", "DirAvailable--srv-etcd"} <= names
    assert evidence["data"]


@pytest.mark.parametrize(
    ("phase", "state", "actions"),
    [
        (None, "absent", ["join"]),
        ("bootstrap", "half-joined", ["reset", "join"]),
        ("kubelet", "half-joined", ["reset", "join"]),
        ("done", "joined", []),
    ],
)
def test_join_killed_at_every_phase(node, phase, state, actions):
    if phase:
        join(node, phase)
    plan = kubeadm.plan_join(gather(node, "n2"), CA)
    assert (plan.state, kinds(plan), plan.refusal) == (state, actions, "")


def test_a_worker_of_another_cluster_is_refused(node):
    join(node, "done", ca="other")
    plan = kubeadm.plan_join(gather(node, "n2"), CA)
    assert plan.state == "foreign"
    assert not plan.actions
    for word in ("n2", SERVER, "reset.yml"):
        assert word in plan.refusal


def test_a_worker_is_refused_while_no_cluster_exists(node):
    join(node, "done")
    assert kubeadm.plan_join(gather(node, "n2"), "").state == "foreign"


def test_a_worker_is_never_reset_because_its_api_is_away(node):
    join(node, "done")
    node.error = "connect: no route to host"
    plan = kubeadm.plan_join(gather(node, "n2"), CA)
    assert (plan.state, plan.actions) == ("joined", ())
    assert "no route to host" in plan.refusal


def test_a_worker_with_a_lost_credential_is_half_joined(node):
    join(node, "done")
    node.remove("/var/lib/kubelet/pki")
    assert kinds(kubeadm.plan_join(gather(node, "n2"), CA)) == ["reset", "join"]


@pytest.mark.parametrize("phase", ["api", "done"])
def test_a_control_plane_does_not_join_as_a_worker(node, phase):
    initialise(node, phase)
    assert "control plane" in kubeadm.plan_join(gather(node, "n1"), CA).refusal


def test_a_control_plane_of_another_cluster_is_foreign(node):
    initialise(node, "done", ca="other")
    assert kubeadm.plan_join(gather(node, "n1"), CA).state == "foreign"


def test_a_worker_is_not_initialised(node):
    join(node, "done")
    plan = kubeadm.plan_init(gather(node, "n2"))
    assert SERVER in plan.refusal
    assert not plan.actions


def test_a_control_plane_whose_kubelet_is_of_another_cluster_is_foreign(node):
    initialise(node, "api")
    node.write("/etc/kubernetes/kubelet.conf", kubeconfig("other"))
    assert kubeadm.plan_init(gather(node, "n1")).state == "foreign"


def test_the_hash_is_that_of_the_public_key():
    certificate, _key, wanted = authority("kubernetes")
    assert spki_hash(certificate) == wanted
    assert spki_hash(certificate[:200]) == ""
    assert spki_hash("") == ""


@pytest.mark.parametrize("length", range(0, len(kubeconfig()) - 40, 97))
def test_a_truncated_kubeconfig_is_never_whole(length):
    assert not parse_kubeconfig(kubeconfig()[:length]).whole


def test_whole_kubeconfig():
    conf = parse_kubeconfig(kubeconfig())
    assert (conf.server, conf.ca_hash, conf.credential, conf.whole) == (SERVER, CA, "", True)
    assert parse_kubeconfig(None) is None


def test_ca_of_a_node(node):
    assert joined_ca(gather(node, "n1")) == ""
    join(node, "done", ca="other")
    assert joined_ca(gather(node, "n1")) == OTHER


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        ("The connection to the server 192.0.2.11:6443 was refused - did you specify the right host?", "unreachable"),
        ("error: You must be logged in to the server (Unauthorized)", "denied"),
        ("E1121 10:00:00.1 99 memcache.go:265] x\nUnable to connect: net/http: TLS handshake timeout", "unreachable"),
        ("Unable to connect to the server: tls: failed to verify certificate: x509: unknown authority", "denied"),
    ],
)
def test_answers_of_kubectl(error, answer):
    api = kubeadm.api_of("n1", False, "", error, [])
    assert api["answer"] == answer
    assert "\n" not in api["error"]


def test_a_single_object_is_read_as_well():
    item = '{"kind": "Node", "metadata": {"name": "n2", "labels": {}}}'
    assert kubeadm.api_of("n2", True, item, "", [])["node"]


def test_failure_names_the_preflight_errors_and_hides_tokens():
    output = (
        "[preflight] Some fatal errors occurred:\n\t[ERROR Swap]: swap is on\n\t[ERROR Port-10250]: it is in use\n"
        "token abcdef.0123456789abcdef\nTo see the stack trace of this error execute with --v=5 or higher\n"
    )
    text = kubeadm.failure("n1", "init", output)
    assert "[ERROR Swap]: swap is on; [ERROR Port-10250]" in text
    assert "resumes" in text
    plain = kubeadm.failure(
        "n2", "join", "error: token abcdef.0123456789abcdef is expired\nTo see the stack trace of x"
    )
    assert "0123456789abcdef" not in plain
    assert "expired" in plain


def test_failure_of_a_killed_kubeadm_does_not_blame_a_warning():
    text = kubeadm.failure("n1", "init", "\t[WARNING Service-kubelet]: kubelet service is not enabled\n", -9)
    assert "killed by signal 9" in text
    assert "WARNING" not in text


def test_mask():
    assert mask("a abcdef.0123456789abcdef b") == "a ****** b"
    assert mask(CA) == CA


def test_discovery_goes_into_the_join_document_only():
    config = [
        {"kind": "JoinConfiguration", "discovery": {"bootstrapToken": {"apiServerEndpoint": "x:1"}}},
        {"kind": "Y"},
    ]
    done = with_discovery(config, "t", CA)
    expected = {"apiServerEndpoint": "x:1", "token": "t", "caCertHashes": [CA]}
    assert done[0]["discovery"]["bootstrapToken"] == expected
    assert done[1] == {"kind": "Y"}
    assert "token" not in config[0]["discovery"]["bootstrapToken"]


def test_required_objects_follow_skipped_phases():
    names = required_objects([{"kind": "InitConfiguration", "skipPhases": ["addon/kube-proxy"]}])
    assert "daemonsets.apps/kube-proxy" not in names
    assert "deployments.apps/coredns" in names


SAVED = """# Generated by iptables-save
*filter
:INPUT ACCEPT [1:2]
:FORWARD ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:FLANNEL-FWD - [0:0]
:DOCKER - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FORWARD -m comment --comment "to KUBE-FORWARD or not" -j DOCKER
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A POSTROUTING -s 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
COMMIT
"""


def test_only_our_rules_go():
    gone = removal(SAVED)
    assert (gone.chains, gone.rules) == (2, 4)
    assert gone.text.splitlines() == [
        "*filter",
        ":KUBE-FORWARD - [0:0]",
        ":FLANNEL-FWD - [0:0]",
        '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        '-D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
        "-X KUBE-FORWARD",
        "-X FLANNEL-FWD",
        "COMMIT",
        "*nat",
        '-D POSTROUTING -s 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE',
        "COMMIT",
    ]


@pytest.mark.parametrize(
    "saved", ["", "# nothing\n", SAVED.split("*nat", maxsplit=1)[0].replace("KUBE", "MINE").replace("FLANNEL", "F")]
)
def test_nothing_of_ours_gives_no_command(saved):
    assert "KUBE" not in removal(saved).text
    assert "MINE" not in removal(saved).text


def test_nft_tables():
    listing = '{"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "kube-proxy"}}, '
    listing += '{"table": {"family": "inet", "name": "filter"}}]}'
    assert nft_tables(listing) == [("ip", "kube-proxy")]
    assert nft_tables("") == []
