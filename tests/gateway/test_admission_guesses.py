"""Wrong keys again and again, and whose they are: slowed where only a key would help, and told to nobody."""

import hashlib
from ipaddress import ip_network

import pytest

from proxy.callers.guesses import Guesses
from proxy.config import Callers, ClientConfig, RealIp
from proxy.config.fields import KeyHash
from proxy.config.values import EVERYBODY, LOOPBACK_ONLY, NOBODY
from proxy.errors import CallerError
from proxy.gateway.admission import Admission
from proxy.gateway.problem import describe
from tests.gateway.asking import (
    CERTIFIED,
    ERP,
    FAR,
    LAN,
    NAMES,
    NEAR,
    ON_THE_LAN,
    RIGHT,
    WRONG,
    Clock,
    admission,
    asked,
    heard,
)


def test_wrong_keys_again_and_again():
    """After ten, 429 for all keys but those that have opened from there; without a key all is as ever."""
    clock = Clock()
    admits = admission(clock=clock)
    assert "erp" == heard(admits, asked(FAR, RIGHT))
    assert ["401 key_required"] * 10 == [heard(admits, asked(FAR, f"{WRONG}{number}")) for number in range(10)]
    assert "429 too_many_attempts" == heard(admits, asked(FAR, WRONG))
    assert ["erp", "401 key_required"] == [heard(admits, asked(FAR, key)) for key in (RIGHT, None)]
    assert ["erp", "401 key_required"] == [heard(admits, asked("192.0.2.2", key)) for key in (RIGHT, WRONG)]
    clock.now += 1
    assert ["401 key_required", "429 too_many_attempts"] == [heard(admits, asked(FAR, WRONG)) for _ in range(2)]


def test_right_key_in_the_midst_of_wrong_ones():
    """From where it never opened it is not looked at: 429 says nothing of whether it is right."""
    admits = admission()
    for _ in range(10):
        heard(admits, asked(FAR, WRONG))
    hold = [asked(FAR, key) for key in (RIGHT, WRONG)]
    said = []
    for request in hold:
        with pytest.raises(CallerError) as caught:
            admits.admit(request, admits.claim(request))
        said.append(describe(caught.value))
    assert said[0] == said[1]
    assert ("Retry-After", "1") in said[0][0]


def test_key_that_was_taken_away():
    """It opened once, and is a wrong one now: it lets no guesses through beside it."""
    guesses = Guesses(Clock())
    before = Admission(Callers(clients=(ERP,)), NAMES, guesses)
    assert "erp" == heard(before, asked(FAR, RIGHT))
    other = ClientConfig("other", (KeyHash(hashlib.sha256(b"other").digest()),))
    after = Admission(Callers(clients=(other,)), NAMES, guesses)
    assert ["401 key_required"] * 10 == [heard(after, asked(FAR, RIGHT)) for _ in range(10)]
    for target in ("/a", "/a?access_token=other"):
        assert "429 too_many_attempts" == heard(after, asked(FAR, RIGHT, target=target))


@pytest.mark.parametrize(
    ("anonymous", "address"), [(LOOPBACK_ONLY, NEAR), (LOOPBACK_ONLY, ""), (EVERYBODY, FAR), (ON_THE_LAN, LAN)]
)
def test_dummies_of_callers_that_need_no_key(anonymous, address):
    """They are not counted, however many (D10); and a right key is one at any time."""
    admits = admission(anonymous)
    assert [""] * 50 == [heard(admits, asked(address, WRONG)) for _ in range(50)]
    assert "erp" == heard(admits, asked(address, RIGHT))


def test_users_of_a_unix_socket():
    """Each has an address of their own: what one guesses keeps no other out."""
    admits = admission(NOBODY)
    for _ in range(11):
        last = heard(admits, asked("", WRONG, user=1000))
    assert "429 too_many_attempts" == last
    assert ["429 too_many_attempts", "erp"] == [heard(admits, asked("", RIGHT, user=user)) for user in (1000, 1001)]


def test_dummies_beside_a_certificate():
    """They are not counted, and what others guessed from the same address does not keep it out."""
    admits = admission(clients=(ERP, CERTIFIED))
    assert ["certified"] * 50 == [heard(admits, asked(FAR, WRONG, client=CERTIFIED)) for _ in range(50)]
    assert "401 key_required" == heard(admits, asked(FAR, WRONG))
    for _ in range(20):
        heard(admits, asked(FAR, WRONG))
    assert "429 too_many_attempts" == heard(admits, asked(FAR, WRONG))
    assert "certified" == heard(admits, asked(FAR, WRONG, client=CERTIFIED))


def test_address_that_an_outer_proxy_tells():
    """It is the one that counts, and that is logged; told by anybody else it is not even read."""
    admits = admission(ON_THE_LAN, real_ip=RealIp((ip_network("127.0.0.1/32"),)))
    behind = asked(NEAR, None, "localhost", ("X-Forwarded-For", f"{LAN}, {FAR}"))
    assert ("401 key_required", FAR) == (heard(admits, behind), behind.trail.address)
    behind = asked(NEAR, None, "localhost", ("x-forwarded-for", f"{FAR}, {LAN}"))
    assert ("", LAN) == (heard(admits, behind), behind.trail.address)
    alone = asked(FAR, None, "localhost", ("X-Forwarded-For", LAN))
    assert ("401 key_required", "") == (heard(admits, alone), alone.trail.address)
    for key in (None, RIGHT):
        broken = asked(NEAR, key, "localhost", ("X-Forwarded-For", "unknown"))
        assert ("400 invalid_request", "") == (heard(admits, broken), broken.trail.address)
    assert "401 key_required" == heard(admits, asked(NEAR))


def test_guesses_behind_an_outer_proxy():
    """They are counted for the address behind it."""
    admits = admission(real_ip=RealIp((ip_network("127.0.0.1/32"),)))
    for address, key in ((FAR, WRONG), (FAR, RIGHT)):
        for _ in range(11):
            last = heard(admits, asked(NEAR, key, "localhost", ("X-Forwarded-For", address)))
        assert "429 too_many_attempts" == last
    assert "erp" == heard(admits, asked(NEAR, RIGHT, "localhost", ("X-Forwarded-For", "192.0.2.2")))


def test_what_strangers_hear():
    """It is the same for every path and every key, so that they learn of neither."""
    admits, said = admission(NOBODY), []
    for target in ("/known", "/unknown", "/known?access_token=x", "/oauth/token", "/a/../b", "//", "/%00"):
        for key in (None, WRONG):
            request = asked(FAR, key, target=target)
            with pytest.raises(CallerError) as caught:
                admits.admit(request, admits.claim(request))
            said.append(describe(caught.value))
    assert [said[0]] * 14 == said
    fields, body = said[0]
    assert ["Basic", "Bearer"] == [value.split()[0] for name, value in fields if name == "WWW-Authenticate"]
    assert b'"error": "key_required"' in body
    assert WRONG.encode() not in body
