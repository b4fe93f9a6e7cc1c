"""One screen about a cluster: versions, addresses, splits, and what is wrong."""

from ansible_collections.meshops.istio.plugins.filter.overview import address, overview, pod_problem, splits


def node(name, ready="True", role=None, message=""):
    return {
        "metadata": {"name": name, "labels": {f"node-role.kubernetes.io/{role}": ""} if role else {}},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": message}],
            "nodeInfo": {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.3.4"},
        },
    }


def named(name, namespace="bookinfo", **rest):
    return {"metadata": {"name": name, "namespace": namespace}, **rest}


def destination(subset, weight, host="reviews"):
    return {"destination": {"host": host, "subset": subset}, "weight": weight}


PLANE = named(
    "istiod", "istio-system", spec={"template": {"spec": {"containers": [{"image": "docker.io/istio/pilot:1.31.1"}]}}}
)
GATEWAY = named(
    "istio-ingressgateway",
    "istio-system",
    spec={"type": "LoadBalancer"},
    status={"loadBalancer": {"ingress": [{"ip": "172.30.0.200"}]}},
)
PAGE = named(
    "bookinfo",
    spec={
        "hosts": ["*"],
        "gateways": ["bookinfo-gateway"],
        "http": [
            {"match": [{"uri": {"exact": "/productpage"}}], "route": [{"destination": {"host": "productpage"}}]},
        ],
    },
)
REVIEWS = named(
    "reviews",
    spec={
        "hosts": ["reviews"],
        "http": [{"route": [destination("v1", 1), destination("v2", 0), destination("v3", 3)]}],
    },
)
RULE = named("reviews", spec={"host": "reviews", "subsets": [{"name": "v1"}, {"name": "v3"}]})
RUNNING = named("p", status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})


def found(**changes):
    parts = {
        "nodes": [node("n1", role="control-plane"), node("n2")],
        "pods": [RUNNING],
        "services": [GATEWAY],
        "planes": [PLANE],
        "routes": [PAGE, REVIEWS],
        "rules": [RULE],
    }
    return list({**parts, **changes}.values())


def test_a_healthy_cluster():
    assert overview(found()).splitlines() == [
        "Nodes      n1 control-plane, n2 · Kubernetes v1.36.3 · containerd 2.3.4",
        "Istio      1.31.1 (default) · gateway 172.30.0.200",
        "Open       http://172.30.0.200/productpage      (bookinfo/bookinfo, hosts *)",
        "reviews    v1 25 %   v2 0 %   v3 75 %      (bookinfo/reviews)",
        "Wrong      nothing",
    ]


def test_the_summary_shows_what_was_seen_and_what_to_try():
    seen = {
        "url": "http://172.30.0.200/productpage",
        "title": "Simple Bookstore App",
        "seen": {"v1": 26.5, "v3": 73.5},
        "requests": 200,
        "errors": 0,
    }
    text = overview(found(), seen=seen, commands=["one", "two"])
    assert "Bookinfo   http://172.30.0.200/productpage      Simple Bookstore App ✓\n" in text
    assert "seen in 200 requests: v1 26.5 %   v3 73.5 %   errors 0   (bookinfo/reviews)\n" in text
    assert text.endswith("Try        one\n           two")


def test_nothing_answers():
    assert overview([[], [], [], [], [], []]) == "The cluster does not answer yet, so there is nothing to show."


def test_no_mesh_yet():
    text = overview(found(services=[], planes=[], routes=[], rules=[]))
    assert "Istio      no control plane · gateway without address" in text


def test_what_is_wrong_is_named():
    stuck = named(
        "b",
        status={
            "phase": "Pending",
            "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
        },
    )
    pending = named("web", spec={"type": "LoadBalancer"})
    text = overview(
        found(
            nodes=[node("n1", "False", message="container runtime is down")],
            pods=[stuck],
            services=[GATEWAY, pending],
            rules=[],
        )
    )
    assert "Wrong      Node n1 is not ready: container runtime is down\n" in text
    assert "Pod bookinfo/b: container c ImagePullBackOff" in text
    assert "Service bookinfo/web of type LoadBalancer has no address" in text
    assert "VirtualService bookinfo/reviews sends requests to subset v1 of reviews.bookinfo, which no" in text
    assert "subset v2" not in text  # weight 0 sends nothing


def test_it_stays_on_one_screen():
    pods = [named(f"p{number}", status={"phase": "Pending"}) for number in range(40)]
    text = overview(found(pods=pods))
    assert text.count("\n") < 20
    assert text.endswith("and 28 more")


def test_pods_that_have_ended_or_end_are_no_problem():
    assert pod_problem(named("job", status={"phase": "Succeeded"})) == ""
    assert pod_problem({"metadata": {"name": "x", "deletionTimestamp": "now"}, "status": {"phase": "Running"}}) == ""
    assert pod_problem(named("x", status={"phase": "Pending"})) == "Pending, not ready yet"


def test_splits_between_hosts_and_one_subset():
    routes = [
        {"route": [destination(None, 90, "a"), destination(None, 10, "b")]},
        {"route": [{"destination": {"host": "c", "subset": "v1"}}]},
        {"route": [{"destination": {"host": "d"}}]},
    ]
    assert list(splits(named("x", spec={"http": routes}))) == [("a", {"a": 90, "b": 10}), ("c", {"v1": 100})]


def test_address_of_a_service():
    assert address({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}}) == "lb.example"
    assert address({"spec": {"externalIPs": ["10.0.0.1"]}}) == "10.0.0.1"
    assert address({}) == ""
