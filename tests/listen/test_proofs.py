"""Certificates of callers: who is asked for one, whose is taken, and how the others are refused."""

import asyncio
import hashlib
import ssl

import pytest
import trustme
from cryptography import x509

from proxy.callers.certificates import CertificateMap
from proxy.config import ClientConfig
from proxy.listen import listener_tls
from tests.listen.conftest import LOOPS, Shown, echoing, on, tls_files
from tests.support.tls import CALLER, HOUR, SERVER, VERSIONS, Authority, der, elliptic, made, pem, revoked

V1_2, V1_3 = VERSIONS
ERP = [x509.DNSName("erp.internal")]
UNKNOWN, EXPIRED = "TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_CERTIFICATE_EXPIRED"
MISSING = {V1_2: "SSLV3_ALERT_HANDSHAKE_FAILURE", V1_3: "TLSV13_ALERT_CERTIFICATE_REQUIRED"}
REVOKED, UNSUPPORTED = "SSLV3_ALERT_CERTIFICATE_REVOKED", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"

both_versions = pytest.mark.parametrize("version", VERSIONS)
both_loops = pytest.mark.parametrize("new_loop", LOOPS)


def outcome(new_loop, tls, caller):
    """Give what a caller hears: an answer, or the alert; and what connections the protocol was told of."""
    heard: list[bytes | str] = []
    shown: list[Shown] = []

    async def work():
        async with echoing(tls, shown=shown) as connect:
            try:
                reader, writer = await connect(ssl=caller)  # in TLS 1.3 it thinks that all is well now
                writer.write(b"served.")
                heard.append(await reader.read(-1))
            except ssl.SSLError as error:
                heard.append(error.reason)

    on(new_loop, work())
    return *heard, shown


@both_versions
@both_loops
@pytest.mark.parametrize("required", [False, True])
def test_good_certificate(new_loop, version, authority, required):
    """Who is served, and the protocol learns what the certificate says."""
    proof = authority.proof("erp.pem", ERP)
    tls = listener_tls(tls_files(authority, authority.file, required=required))
    heard, [(shown, told)] = outcome(new_loop, tls, authority.trust(proof, version))
    assert (b"SERVED.", der(proof)) == (heard, shown)
    assert (("DNS", "erp.internal"),) == told["subjectAltName"]
    erp = ClientConfig("erp", certificates=("erp.internal",))
    assert erp == CertificateMap([erp]).owner(shown, told)


@both_versions
@both_loops
def test_no_certificate(new_loop, version, authority):
    """Where it is optional the caller is served without."""
    tls = listener_tls(tls_files(authority, authority.file))
    assert (b"SERVED.", [(None, None)]) == outcome(new_loop, tls, authority.trust(version=version))


@both_versions
@both_loops
def test_no_certificate_where_one_is_required(new_loop, version, authority):
    """The alert says so, and nothing is served."""
    tls = listener_tls(tls_files(authority, authority.file, required=True))
    assert (MISSING[version], []) == outcome(new_loop, tls, authority.trust(version=version))


@both_versions
@both_loops
def test_nobody_is_asked(new_loop, version, authority):
    """Without authorities for callers, whatever a caller has is its own affair."""
    proof = Authority(authority.folder, name="other.pem").proof("erp.pem", ERP)
    tls = listener_tls(tls_files(authority))
    assert (b"SERVED.", [(None, None)]) == outcome(new_loop, tls, authority.trust(proof, version))


@both_versions
@both_loops
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    ("expected", "how"),
    [
        (EXPIRED, {"ends": -HOUR}),
        ("SSLV3_ALERT_BAD_CERTIFICATE", {"begins": HOUR}),
        (UNSUPPORTED, {"purpose": SERVER}),
    ],
)
def test_certificate_that_does_not_hold(new_loop, version, authority, expected, how, required):
    """It is refused by the alert that belongs to it, optional or not, and nothing is served."""
    proof = authority.proof("erp.pem", ERP, **how)
    tls = listener_tls(tls_files(authority, authority.file, required=required))
    assert (expected, []) == outcome(new_loop, tls, authority.trust(proof, version))


@both_versions
@both_loops
def test_certificate_of_another_authority(new_loop, version, authority):
    """It is refused, though the listener's own certificate comes from there."""
    other = Authority(authority.folder, name="other.pem")
    tls = listener_tls(tls_files(authority, other.file))
    assert (UNKNOWN, []) == outcome(new_loop, tls, authority.trust(authority.proof("erp.pem", ERP), version))


@both_loops
def test_certificate_that_its_owner_signed(new_loop, authority):
    """It is refused, unless that very certificate is in the file."""
    key = elliptic()
    own = made(key, names=ERP, purpose=CALLER)
    proof = authority.folder / "own.pem"
    proof.write_bytes(own + pem(key))
    trusted = authority.folder / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    tls = listener_tls(tls_files(authority, trusted))
    assert (UNKNOWN, []) == outcome(new_loop, tls, authority.trust(proof))
    trusted.write_bytes(authority.file.read_bytes() + own)
    tls.reload(tls_files(authority, trusted))
    heard, [(shown, _)] = outcome(new_loop, tls, authority.trust(proof))
    assert (b"SERVED.", der(proof)) == (heard, shown)


@both_loops
def test_authority_below_the_root(new_loop, authority):
    """Trusted without its root, it admits those that it signed, and none of its sisters'."""
    one, two = (Authority(authority.folder, authority.ca.create_child_ca(), f"{name}.pem") for name in "ab")
    tls = listener_tls(tls_files(authority, one.file))
    heard, shown = outcome(new_loop, tls, authority.trust(one.proof("erp.pem", ERP)))
    assert (b"SERVED.", 1) == (heard, len(shown))
    assert (UNKNOWN, []) == outcome(new_loop, tls, authority.trust(two.proof("erp.pem", ERP)))


@both_loops
def test_caller_that_signs_for_others(new_loop, authority):
    """A caller's certificate is no authority, be it in the file."""
    ca = trustme.CA.from_pem(*(authority.proof("ca2.pem", cn=["x"]).read_bytes(),) * 2)
    proof = Authority(authority.folder, ca, "leaf.pem").proof("erp.pem", ERP)
    tls = listener_tls(tls_files(authority, authority.folder / "leaf.pem"))
    assert ("TLSV1_ALERT_UNKNOWN_CA", []) == outcome(new_loop, tls, authority.trust(proof))


@both_loops
def test_certificate_that_was_taken_back(new_loop, authority):
    """A revocation list in the file counts."""
    gone, kept = (authority.proof(name, ERP) for name in ("gone.pem", "kept.pem"))
    trusted = authority.folder / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes() + revoked(authority.ca, gone.read_bytes()))
    tls = listener_tls(tls_files(authority, trusted))
    assert (REVOKED, []) == outcome(new_loop, tls, authority.trust(gone))
    assert b"SERVED." == outcome(new_loop, tls, authority.trust(kept))[0]


@both_versions
@both_loops
@pytest.mark.parametrize("kind", [0x81, 0x82, 0x86])
def test_name_that_is_no_text(new_loop, version, authority, kind):
    """The certificate is known by its fingerprint only, and nobody complains."""
    proof = authority.proof("odd.pem", bytes((0x30, 4, kind, 2, 0xFF, 0xFE)), cn=["erp.internal"])
    tls = listener_tls(tls_files(authority, authority.file))
    heard, [(shown, told)] = outcome(new_loop, tls, authority.trust(proof, version))
    assert (b"SERVED.", der(proof)) == (heard, shown)
    by_name = ClientConfig("name", certificates=("erp.internal",))
    by_print = ClientConfig("print", certificates=("sha256:" + hashlib.sha256(shown).hexdigest(),))
    assert by_print == CertificateMap([by_name, by_print]).owner(shown, told)
    assert CertificateMap([by_name]).owner(shown, told) is None


@both_loops
def test_refused_caller_that_goes_on_sending(new_loop, authority):
    """What it sends is dropped and its connection ends with the handshake's time; others are served meanwhile."""
    refused = authority.trust(authority.proof("erp.pem", ERP, ends=-HOUR), V1_3)

    async def work():
        async with echoing(tls, client_header_timeout=0.5) as connect:
            reader, writer = await connect(ssl=refused)
            writer.write(b"x" * 3_000_000)
            other, speaking = await connect(ssl=authority.trust())
            speaking.write(b"fine.")
            assert b"FINE." == await other.read(-1)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await reader.readexactly(1)
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    tls = listener_tls(tls_files(authority, authority.file))
    on(new_loop, work())
