"""The Secret of a gateway's TLS: looked for where the gateway's pods are, refused when it would not work."""

from __future__ import annotations

import pytest
from gateway_world import EC, MUTUAL, RSA, SECURE, FakeKube, apply, key_pair, pod, refusal, secret

from ansible_collections.meshops.istio.plugins.module_utils import certificates
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return [key_pair(tmp_path_factory.mktemp("pair"), algorithm) for algorithm in (EC, EC, RSA)]


@pytest.fixture
def kube(pairs):
    return FakeKube(pod(), secret(*pairs[0]))


def test_a_missing_secret(kube):
    del kube.objects["Secret", "istio-system", "web"]
    kube.objects["Secret", "demo", "web"] = {}  # that of the Gateway's own namespace is not the one
    assert "There is no Secret web in namespace istio-system" in refusal(kube, SECURE)
    assert kube.writes == []
    promised = apply(kube, SECURE, check_mode=True)
    assert promised["changed"]
    assert "namespace istio-system" in promised["warnings"][0]
    assert "There is no Secret web" in apply(kube, SECURE, require_secret=False)["warnings"][0]
    # in effect already: nothing to refuse
    again = apply(kube, SECURE)
    assert not again["changed"]
    assert "There is no Secret web" in again["warnings"][0]


def test_each_namespace_with_gateway_pods_needs_it(kube):
    kube.objects["Pod", "edge", "gw"] = pod("edge")
    assert "no Secret web in namespace edge" in refusal(kube, SECURE)


def test_wrong_secrets_are_refused_and_say_nothing_of_the_key(kube, pairs):
    (certificate, key), (_other, stray), (_rsa, alien) = pairs
    table = [
        (secret(certificate, stray), SECURE, "its private key does not belong to its certificate"),
        (secret(certificate, alien), SECURE, "its private key does not belong to its certificate"),
        (secret(certificate, certificate), SECURE, "tls.key of Secret istio-system/web is no private key in PEM form"),
        (secret(certificate, key[:60] + key[64:]), SECURE, "is damaged"),
        (secret(certificate, key), MUTUAL, "has no ca.crt or cacert"),
    ]
    for found, wish, word in table:
        kube.objects["Secret", "istio-system", "web"] = found
        for check_mode in (True, False):
            sentence = refusal(kube, wish, check_mode=check_mode)
            assert word in sentence
            assert "set require_secret to false" in sentence
            assert not any(line in sentence for line in stray.decode().splitlines()[1:-1])
    assert kube.writes == kube.dry_runs == []
    assert apply(kube, MUTUAL, require_secret=False)["changed"]


def test_mutual_with_the_authority_apart(kube, pairs):
    kube.objects["Secret", "istio-system", "web-cacert"] = secret(b"", b"", name="web-cacert", cacert=pairs[1][0])
    assert apply(kube, MUTUAL)["warnings"] == []


def test_a_secret_that_may_not_be_read(kube):
    everything = kube.get

    def narrow(api_version, kind, name, namespace=None):
        if kind == "Secret":
            raise Forbidden("Cannot read Secret istio-system/web: no.", 403)
        return everything(api_version, kind, name, namespace)

    kube.get = narrow
    assert "Cannot read Secret istio-system/web: no. Without that" in refusal(kube, SECURE)
    assert "Cannot read Secret" in apply(kube, SECURE, require_secret=False)["warnings"][0]


def test_pairs(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_MEMORY", tmp_path)
    for certificate, key in pairs:
        assert certificates.pair_problem(certificate, key) == ""
    certificate, key = pairs[0]
    assert certificates.pair_problem(certificate + pairs[1][0], key) == ""
    assert "does not belong" in certificates.pair_problem(pairs[1][0] + certificate, key)
    assert "is damaged" in certificates.pair_problem(b"", key)
    assert "is damaged" in certificates.pair_problem(certificate, b"\0")
    encrypted = key.replace(b"PRIVATE", b"ENCRYPTED PRIVATE")
    assert "encrypted" in certificates.pair_problem(certificate, encrypted)
    assert list(tmp_path.iterdir()) == [], "no key is left behind"


def test_a_key_is_for_its_owner_only_while_it_is_read(pairs, tmp_path, monkeypatch):
    def modes(*paths):
        return " ".join(oct(path.stat().st_mode & 0o777) for path in (paths[0].parent, *paths))

    monkeypatch.setattr(certificates, "_MEMORY", tmp_path)
    monkeypatch.setattr(certificates, "_load", modes)
    assert certificates.pair_problem(*pairs[0]) == "0o700 0o600 0o600"
