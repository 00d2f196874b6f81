"""Which way calls leave this machine: the proxy that the environment names, and whom TLS trusts."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.config import TlsFiles, load
from proxy.egress import Egress, egress_proxy, upstream_trust
from proxy.errors import ConfigError, EgressProxyError
from tests.support.loops import presenting, serving, silent

CANARY = "c4nary"
HOST = "api.vendor.example"
ONE, OTHER = "http://one.example:3128", "http://other.example:3128"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def named(environ: dict[str, str], scheme: str = "https", host: str = HOST, port: int = 443) -> str | None:
    """Give the variable that names the proxy for an origin."""
    proxy = egress_proxy(scheme, host, port, environ)
    return proxy.variable if proxy else None


@pytest.mark.parametrize(
    ("expected", "scheme", "environ"),
    [
        (None, "https", {}),
        ("HTTPS_PROXY", "https", {"HTTPS_PROXY": ONE}),
        ("https_proxy", "https", {"https_proxy": ONE}),
        ("https_proxy", "https", {"https_proxy": ONE, "HTTPS_PROXY": OTHER}),
        (None, "https", {"https_proxy": "", "HTTPS_PROXY": OTHER, "ALL_PROXY": OTHER}),
        (None, "https", {"HTTPS_PROXY": " "}),
        ("ALL_PROXY", "https", {"HTTPS_PROXY": "", "ALL_PROXY": ONE}),
        (None, "https", {"HTTP_PROXY": ONE, "http_proxy": ONE, "proxy": ONE}),
        (None, "http", {"HTTPS_PROXY": ONE, "https_proxy": ONE}),
        ("http_proxy", "http", {"http_proxy": ONE, "HTTP_PROXY": OTHER, "REQUEST_METHOD": "GET"}),
        ("HTTP_PROXY", "http", {"HTTP_PROXY": ONE}),
        (None, "http", {"HTTP_PROXY": ONE, "REQUEST_METHOD": "GET"}),
        ("ALL_PROXY", "http", {"ALL_PROXY": ONE}),
        ("all_proxy", "https", {"all_proxy": ONE, "ALL_PROXY": OTHER}),
        ("HTTPS_PROXY", "https", {"HTTPS_PROXY": ONE, "all_proxy": OTHER}),
        ("HTTPS_PROXY", "https", {"HTTPS_PROXY": ONE, "REQUEST_METHOD": "GET"}),
    ],
)
def test_variables(expected: str | None, scheme: str, environ: dict[str, str]) -> None:
    """The scheme's own counts, lower case first, then that for all; HTTP_PROXY not where a caller may have set it."""
    assert expected == named(environ, scheme)


@pytest.mark.parametrize(
    ("goes_without", "no_proxy", "host", "port"),
    [
        (True, "*", HOST, 443),
        (True, HOST, HOST, 443),
        (True, HOST.upper(), HOST, 443),
        (True, HOST, HOST.upper(), 443),
        (True, HOST, f"{HOST}.", 443),
        (True, f"{HOST}.", HOST, 443),
        (True, "vendor.example", HOST, 443),
        (True, ".vendor.example", HOST, 443),
        (True, "*.vendor.example", HOST, 443),
        (True, ".vendor.example", "vendor.example", 443),
        (True, "a.example, vendor.example", HOST, 443),
        (True, "a.example vendor.example", HOST, 443),
        (True, ",,vendor.example,", HOST, 443),
        (False, "endor.example", HOST, 443),
        (False, "a.example", HOST, 443),
        (False, f"x.{HOST}", HOST, 443),
        (False, "", HOST, 443),
        (False, ".", HOST, 443),
        (False, "*.", HOST, 443),
        (True, "vendor.example:443", HOST, 443),
        (False, "vendor.example:443", HOST, 8443),
        (False, "vendor.example:x", HOST, 443),
        (True, "10.1.2.3", "10.1.2.3", 443),
        (True, "10.1.2.3:443", "10.1.2.3", 443),
        (False, "10.1.2.3:80", "10.1.2.3", 443),
        (True, "10.0.0.0/8", "10.1.2.3", 443),
        (True, "10.9.9.9/8", "10.1.2.3", 443),
        (True, "10.0.0.0/8:443", "10.1.2.3", 443),
        (True, "10.0.0.0/8", "::ffff:10.1.2.3", 443),
        (False, "10.0.0.0/33", "10.1.2.3", 443),
        (False, "10.1.2.0/24", "10.1.3.1", 443),
        (False, "10.1.2", "10.1.2.3", 443),
        (False, "2.3", "10.1.2.3", 443),
        (False, "10.0.0.0/8", HOST, 443),
        (True, "2001:db8::1", "2001:db8:0:0::1", 443),
        (True, "[2001:db8::1]", "2001:db8::1", 443),
        (True, "[2001:db8::1]:443", "2001:db8::1", 443),
        (False, "[2001:db8::1]:80", "2001:db8::1", 443),
        (True, "2001:db8::/32", "2001:db8::1", 443),
        (False, "2001:db8::/32", "10.1.2.3", 443),
    ],
)
def test_no_proxy(goes_without: bool, no_proxy: str, host: str, port: int) -> None:
    """Hosts, domains with all below them, addresses and networks go without, at any port or at the one that is told."""
    assert (None if goes_without else "ALL_PROXY") == named(
        {"ALL_PROXY": ONE, "NO_PROXY": no_proxy}, "https", host, port
    )


def test_no_proxy_in_lower_case() -> None:
    """It goes before its upper-case twin, here too."""
    assert named({"ALL_PROXY": ONE, "no_proxy": "", "NO_PROXY": "*"}) == "ALL_PROXY"
    assert named({"ALL_PROXY": ONE, "no_proxy": "*"}) is None


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback(host: str, scheme: str) -> None:
    """It never goes through a proxy: what another machine calls loopback is another place."""
    assert named({"ALL_PROXY": ONE}, scheme, host) is None


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (("one.example", 3128, ""), "http://one.example:3128"),
        (("one.example", 3128, ""), " HTTP://one.example:3128/ "),
        (("one.example", 80, ""), "http://one.example"),
        (("one.example", 3128, ""), "one.example:3128"),
        (("::1", 3128, ""), "http://[::1]:3128"),
        (("one.example", 3128, "Basic dTpw"), "http://u:p@one.example:3128"),
        (("one.example", 3128, "Basic dTpw"), "u:p@one.example:3128"),
        (("one.example", 80, "Basic dTo="), "http://u@one.example"),
        (("one.example", 80, "Basic dUBiOnA6L3E="), "http://u%40b:p:%2Fq@one.example"),
        (("one.example", 80, "Basic w7w6w7w="), "http://%C3%BC:%c3%bc@one.example"),
        (("one.example", 80, "Basic dTpwQHE="), "http://u:p@q@one.example"),
    ],
)
def test_url_of_a_proxy(expected: tuple[str, int, str], value: str) -> None:
    """It is host and port; user and password become a field's value (RFC 7617), their %-encoding undone."""
    proxy = egress_proxy("https", HOST, 443, {"HTTPS_PROXY": value})
    assert proxy is not None
    assert expected == (proxy.host, proxy.port, proxy.authorization.reveal())
    assert ({"Proxy-Authorization": expected[2]} if expected[2] else {}) == proxy.fields()


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("not http://", f"https://{CANARY}:{CANARY}@one.example:3128"),
        ("not http://", f"socks5://{CANARY}@one.example:1080"),
        ("not http://", f"socks5h://{CANARY}"),
        ("not a proxy's URL", f"http://{CANARY}:x"),
        ("not a proxy's URL", f"http://u:{CANARY}@"),
        ("not a proxy's URL", f"http://{CANARY}/path"),
        ("not a proxy's URL", f"http://{CANARY}?query"),
        ("not a proxy's URL", f"http://{CANARY}:99999"),
        ("not a proxy's URL", f"http://{CANARY} x"),
        ("not a proxy's URL", f"{CANARY}/x"),
        ("not a proxy's URL", "http://"),
    ],
)
def test_url_of_a_proxy_that_cannot_be_used(words: str, value: str) -> None:
    """The variable is named, its value is not shown."""
    with pytest.raises(EgressProxyError, match=words) as caught:
        egress_proxy("https", HOST, 443, {"ALL_PROXY": value})
    assert caught.value.description.startswith("ALL_PROXY ")
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_bad_url_that_is_not_needed() -> None:
    """It troubles nobody who goes without."""
    assert named({"ALL_PROXY": "socks5://x", "NO_PROXY": "*"}) is None
    assert named({"ALL_PROXY": "socks5://x", "HTTPS_PROXY": ONE}) == "HTTPS_PROXY"


def test_what_is_shown() -> None:
    """Neither text nor repr shows a user, a password, or another variable."""
    egress = Egress.of(TlsFiles(), {"HTTPS_PROXY": f"http://{CANARY}:{CANARY}@one.example", "TOKEN": CANARY})
    proxy = egress.proxy(f"https://{HOST}/a?b")
    assert "the proxy that HTTPS_PROXY names" == str(proxy)
    assert CANARY not in f"{egress!r}{egress}{proxy!r}"
    assert proxy is not None
    assert proxy.authorization.reveal() not in repr(proxy)


def test_arguments_of_a_call(ca_file: Path) -> None:
    """The proxy's field goes to the proxy only: with CONNECT for https, with the request for http."""
    environ = {"ALL_PROXY": "http://u:p@one.example:3128", "NO_PROXY": "direct.example"}
    egress = Egress.of(TlsFiles(ca_file), environ)
    own, field = {"Accept": "a"}, {"Proxy-Authorization": "Basic dTpw"}
    through: dict[str, Any] = {"proxy": "http://one.example:3128"}
    assert {"headers": own, "ssl": egress.trust} == egress.call("https://direct.example/a", own)
    assert {"headers": own, "ssl": egress.trust, "proxy_headers": field, **through} == egress.call(
        "https://vendor.example/a", own
    )
    assert {"headers": {**own, **field}, **through} == egress.call("http://vendor.example/a?b=%2F", own)


def test_trust(ca: trustme.CA, ca_file: Path) -> None:
    """Verification is on, TLS is 1.2 at least, and the authorities of `ca_file` come on top of the system's."""
    plain, context = upstream_trust(TlsFiles()), upstream_trust(TlsFiles(ca=ca_file))
    for one in (plain, context):
        assert (ssl.CERT_REQUIRED, True) == (one.verify_mode, one.check_hostname)
        assert ssl.TLSVersion.TLSv1_2 == one.minimum_version
    assert plain.cert_store_stats()["x509"] + 1 == context.cert_store_stats()["x509"]
    assert ca.cert_pem.bytes().decode() in [
        ssl.DER_cert_to_PEM_cert(one) for one in context.get_ca_certs(binary_form=True)
    ]


def test_trust_in_an_authority_of_the_system(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `ca_file` that says nothing new is fine."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    assert 1 == upstream_trust(TlsFiles(ca=ca_file)).cert_store_stats()["x509"]


async def test_alpn(ca: trustme.CA, ca_file: Path) -> None:
    """HTTP/1.1 is asked for, so that a server that prefers HTTP/2 does not begin with it."""
    async with serving(silent, presenting(ca, "localhost")) as port:
        trust = upstream_trust(TlsFiles(ca=ca_file))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert "http/1.1" == chosen


KEY_ONLY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
DAMAGED = f"-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("words", "content"),
    [
        ("there is no such file", None),
        ("cannot be read: Is a directory", Path()),
        ("holds no certificates", ""),
        ("holds no certificates", f"hello {CANARY}\n"),
        ("holds no certificates", KEY_ONLY),
        ("holds no certificates", DAMAGED),
        ("holds no certificates", "ca" + DAMAGED),
    ],
    ids=["absent", "folder", "empty", "text", "key", "damaged", "damaged in part"],
)
def test_ca_file_that_cannot_be_used(ca: trustme.CA, tmp_path: Path, words: str, content: str | Path | None) -> None:
    """It is a problem of the configuration, at its line, and an error where it went bad after that."""
    file = tmp_path / "authorities.pem"
    if isinstance(content, Path):
        file.mkdir()
    elif content is not None:
        whole = ca.cert_pem.bytes().decode() if content.startswith("ca") else ""
        file.write_text(whole + content.removeprefix("ca"))
    (tmp_path / "config.yaml").write_text("listen: localhost:8080\n\nca_file: authorities.pem\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.yaml", {})
    (told,) = str(caught.value).splitlines()
    assert told.startswith(f"{tmp_path}/config.yaml:3: ca_file: ")
    assert words in told
    with pytest.raises(ConfigError, match=words) as late:
        upstream_trust(TlsFiles(ca=file))
    assert CANARY not in f"{caught.value}{late.value}"


def test_ca_file_that_holds_something_else(ca: trustme.CA, tmp_path: Path) -> None:
    """A list of revoked certificates is no authority."""
    now = dt.datetime.now(dt.UTC)
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    key = ec.generate_private_key(ec.SECP256R1())
    revoked = x509.CertificateRevocationListBuilder(issuer, now, now + dt.timedelta(1)).sign(key, hashes.SHA256())
    (tmp_path / "crl.pem").write_bytes(revoked.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(ConfigError, match="this file holds no certificates"):
        upstream_trust(TlsFiles(ca=tmp_path / "crl.pem"))


def test_ca_file_that_can_be_used(ca_file: Path) -> None:
    """Its path is relative to the configuration's folder."""
    (ca_file.parent / "config.yaml").write_text("ca_file: ca.pem\n")
    config, _ = load(ca_file.parent / "config.yaml", {})
    assert ca_file == config.tls.ca
    assert Egress.of(config.tls, {}).trust.cert_store_stats() == upstream_trust(TlsFiles(ca=ca_file)).cert_store_stats()
