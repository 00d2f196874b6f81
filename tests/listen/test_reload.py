"""New files for listeners that go on listening: all of them count from the next handshake on, or none does."""

import contextlib
import ssl

import pytest

from proxy.config import TlsFiles
from proxy.errors import ListenError
from proxy.listen import listener_tls
from tests.listen.conftest import LOOPS, echoing, on, tls_files
from tests.support.tls import VERSIONS, Authority, der, elliptic, pem

both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def other(tmp_path):
    """Give another authority."""
    return Authority(tmp_path, name="other.pem")


def shaken(tls, caller, session=None):
    """Shake hands in memory; give both ends. Raises what either has against it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = tls.wrap_bio(up, down, server_side=True)
    theirs = caller.wrap_bio(down, up, server_hostname="localhost", session=session)
    for side in (theirs, ours, theirs, ours, theirs):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    with contextlib.suppress(ssl.SSLWantReadError):
        theirs.read(1)  # in TLS 1.3, tickets or an alert
    ours.write(b"x")
    assert b"x" == theirs.read(1)
    return ours, theirs


def presented(tls, caller):
    return shaken(tls, caller)[1].getpeercert(True)


@both_versions
@pytest.mark.parametrize("new_loop", LOOPS)
def test_certificate(new_loop, version, authority):
    """New connections get the new one, and those that are open go on."""

    async def work():
        async with echoing(tls) as connect:
            old, speaking = await connect(ssl=caller)
            assert before == speaking.get_extra_info("ssl_object").getpeercert(True)
            tls.reload(tls_files(authority))
            new, also = await connect(ssl=caller)
            assert der(authority.folder / "c.pem") == also.get_extra_info("ssl_object").getpeercert(True)
            for reader, writer in ((old, speaking), (new, also)):
                writer.write(b"fine.")
                assert b"FINE." == await reader.read(-1)

    caller = authority.trust(version=version)
    tls = listener_tls(tls_files(authority))
    before = der(authority.folder / "c.pem")
    on(new_loop, work())
    assert before != der(authority.folder / "c.pem")


@pytest.mark.parametrize("new_loop", LOOPS)
def test_handshake_that_has_begun(new_loop, authority):
    """It goes on as it began."""

    async def work():
        async with echoing(tls) as connect:
            reader, writer = await connect()
            up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
            theirs = authority.trust().wrap_bio(down, up, server_hostname="localhost")
            for turn in range(2):
                with contextlib.suppress(ssl.SSLWantReadError):
                    theirs.do_handshake()
                writer.write(up.read())
                if not turn:
                    down.write(await reader.read(1 << 16))
                    tls.reload(tls_files(authority))
            assert before == theirs.getpeercert(True)
            theirs.write(b"fine.")
            writer.write(up.read())
            down.write(await reader.read(-1))
            assert b"FINE." == theirs.read(100)

    tls = listener_tls(tls_files(authority))
    before = der(authority.folder / "c.pem")
    on(new_loop, work())


@both_versions
def test_authorities(authority, other, version):
    """Authorities of callers, and whether a certificate is required, are replaced too."""
    one, two = authority.proof("one.pem", cn=["one"]), other.proof("two.pem", cn=["two"])
    nobody, first, second = (authority.trust(proof, version) for proof in (None, one, two))
    tls = listener_tls(tls_files(authority, authority.file))
    assert der(one) == shaken(tls, first)[0].getpeercert(True)
    assert shaken(tls, nobody)[0].getpeercert(True) is None
    tls.reload(tls_files(authority, other.file, required=True))
    assert der(two) == shaken(tls, second)[0].getpeercert(True)
    for refused in (nobody, first):
        with pytest.raises(ssl.SSLError, match="_ALERT_"):
            shaken(tls, refused)
    tls.reload(tls_files(authority))
    assert shaken(tls, second)[0].getpeercert(True) is None


@both_versions
def test_session_of_before(authority, version):
    """It is resumed as long as the files are the same, and no longer."""
    caller = authority.trust(version=version)
    files = tls_files(authority)
    tls = listener_tls(files)
    session = shaken(tls, caller)[1].session
    assert shaken(tls, caller, session)[0].session_reused
    tls.reload(files)
    assert not shaken(tls, caller, session)[0].session_reused


@both_versions
def test_session_of_a_caller_with_a_certificate(authority, other, version):
    """It does not carry the certificate past the authorities that admitted it."""
    caller = authority.trust(authority.proof("one.pem", cn=["one"]), version)
    tls = listener_tls(tls_files(authority, authority.file))
    session = shaken(tls, caller)[1].session
    tls.reload(tls_files(authority, other.file))
    with pytest.raises(ssl.SSLError, match="ALERT_UNKNOWN_CA"):
        shaken(tls, caller, session)


def test_session_that_could_be_resumed_for_ever(authority):
    """In TLS 1.3 none is where callers have certificates: each would bring a ticket that lasts longer."""
    caller = authority.trust(authority.proof("one.pem", cn=["one"]), ssl.TLSVersion.TLSv1_3)
    tls = listener_tls(tls_files(authority, authority.file))
    session = shaken(tls, caller)[1].session
    assert not session.has_ticket
    assert not shaken(tls, caller, session)[0].session_reused


def gone(files):
    files.certificate.unlink()


def cut(files):
    files.certificate.write_bytes(files.certificate.read_bytes()[:200])


def other_key(files):
    files.key.write_bytes(pem(elliptic()))


def no_authorities(files):
    files.client_ca.write_bytes(b"CANARY")


def authorities_gone(files):
    files.client_ca.unlink()


@pytest.mark.parametrize(
    ("expected", "spoil"),
    [
        ("ssl_certificate: there is no such file", gone),
        ("ssl_certificate: this file holds no PEM certificate that OpenSSL can read", cut),
        ("ssl_certificate_key: the private key is not that of the first certificate in ssl_certificate", other_key),
        ("ssl_client_certificate: this file holds no certificates in PEM form that can be read", no_authorities),
        ("ssl_client_certificate: there is no such file", authorities_gone),
    ],
)
def test_files_that_cannot_be_used(authority, other, expected, spoil):
    """One sentence says which and why; all is as before, and better files are taken after that."""
    proof = authority.proof("one.pem", cn=["one"])
    tls = listener_tls(tls_files(authority, authority.file, required=True))
    before = der(authority.folder / "c.pem")
    spoilt = tls_files(authority, other.file)
    spoil(spoilt)
    with pytest.raises(ListenError) as caught:
        tls.reload(spoilt)
    assert (f"cannot speak TLS: {expected}", None) == (str(caught.value), caught.value.__cause__)
    ours, theirs = shaken(tls, authority.trust(proof))
    assert (der(proof), before) == (ours.getpeercert(True), theirs.getpeercert(True))
    tls.reload(tls_files(authority))
    assert der(authority.folder / "c.pem") == presented(tls, authority.trust())


def test_certificates_required_by_nobody(authority):
    """Without authorities none could be verified: that is refused, not taken for none at all."""
    files = tls_files(authority)
    with pytest.raises(ListenError, match=r"^cannot speak TLS: ssl_verify_client: on needs the authorities of "):
        listener_tls(TlsFiles(certificate=files.certificate, key=files.key, client_required=True))
