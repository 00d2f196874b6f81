"""Segments mean nothing: however TCP cuts an exchange up, the requests and the answers are the same, and in order.

Each segment is sent when the proxy has read the one before, so that it is read by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, zip_longest

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.e2e.smuggling.conftest import Side
from tests.e2e.smuggling.recorder import Do, Heard, Script, Steps, calling, play
from tests.e2e.smuggling.strict import Request, take_answers

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The same examples in every run, and nothing kept on disk; a failure may be a wait, and looking for a shorter one many.
bounded = settings(max_examples=60, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
_HOST = b"Host: localhost\r\n"
_FILLER = bytes(range(256))

Kinds = list[tuple[str, int]]
Sizes = list[int]


@dataclass(frozen=True)
class Exchange:
    """A request as it is sent, and what the upstream should understand."""

    raw: bytes
    method: bytes
    target: bytes
    body: bytes


def chunked(body: bytes) -> bytes:
    """A body in chunks of seven bytes, with an extension here and a trailer at the end."""
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    return b"".join(b"%X;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-T: 1\r\n\r\n"


def exchange(who: str, number: int, kind: str, size: int, *, last: bool) -> Exchange:
    """One request of a kind, with a body of `size` bytes where it has one."""
    target = f"/{who}-{number}".encode()
    end = b"Connection: close\r\n\r\n" if last else b"\r\n"
    body = (target + _FILLER)[:size]
    if kind in ("GET", "HEAD"):
        return Exchange(b"%s /t%s HTTP/1.1\r\n%s%s" % (kind.encode(), target, _HOST, end), kind.encode(), target, b"")
    framing, data = {
        "length": (b"Content-Length: %d\r\n" % size, body),
        "chunks": (b"Transfer-Encoding: chunked\r\n", chunked(body)),
        "expect": (b"Expect: 100-continue\r\nContent-Length: %d\r\n" % size, body),
    }[kind]
    return Exchange(b"POST /t%s HTTP/1.1\r\n%s%s%s%s" % (target, _HOST, framing, end, data), b"POST", target, body)


def exchanges(who: str, kinds: Kinds) -> list[Exchange]:
    """Requests for one connection, of which the last one closes it."""
    return [exchange(who, at, *kind, last=at == len(kinds) - 1) for at, kind in enumerate(kinds)]


def cut(data: bytes, sizes: Sizes) -> Iterator[bytes]:
    """Cut bytes up into pieces of these sizes, over and over."""
    at = 0
    for size in cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


def answer(request: Request, kind: str) -> tuple[bytes, bytes, bool]:
    """An answer of a kind to a request: its bytes, the body in it, and whether the connection ends with it."""
    body = b"answer to " + request.target + _FILLER
    silent = request.method == b"HEAD"
    head, data, ends = {
        "length": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body, False),
        "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(body), False),
        "close": (b"HTTP/1.1 200 OK\r\n\r\n", body, True),
        "nothing": (b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", b"", False),
        "interim": (
            b"HTTP/1.1 103 Hint\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body),
            body,
            False,
        ),
    }[kind]
    return head + (b"" if silent else data), b"" if silent or kind == "nothing" else body, ends


def answering(kinds: Callable[[Request], str], sizes: Sizes) -> Script:
    """A script that gives each request an answer of its kind, in segments of these sizes."""

    def script(request: Request) -> Steps:
        raw, _, ends = answer(request, kinds(request))
        return [*cut(raw, sizes), *([Do.CLOSE] if ends else [])]

    return script


def bodies(heard: Heard, sent: Sequence[Exchange]) -> list[bytes]:
    """The bodies of all answers, of which there is one for each request and nothing else."""
    answers, rest = take_answers(heard.data, [one.method for one in sent], ended=heard.end == "closed")
    assert ("closed", b"", len(sent)) == (heard.end, rest, len(answers)), heard
    return [one.body for one in answers]


def understood(requests: Sequence[Request]) -> list[tuple[bytes, bytes, bytes]]:
    return [(one.method, one.target, one.body) for one in requests]


def meant(sent: Sequence[Exchange]) -> list[tuple[bytes, bytes, bytes]]:
    return [(one.method, one.target, one.body) for one in sent]


_kinds = st.lists(
    st.tuples(st.sampled_from(["GET", "HEAD", "length", "chunks", "expect"]), st.integers(0, 60)),
    min_size=1,
    max_size=5,
)
_answer_kinds = st.lists(st.sampled_from(["length", "chunks", "close", "nothing", "interim"]), min_size=1, max_size=5)
_sizes = st.one_of(st.just([1]), st.lists(st.integers(1, 90), min_size=1, max_size=6))


@bounded
@given(kinds=_kinds, sizes=_sizes)
async def test_segments_of_requests(ours: Side, kinds: Kinds, sizes: Sizes) -> None:
    """The upstream gets the same requests, field by field, as when all comes at once."""
    sent = exchanges("caller", kinds)
    raw = b"".join(one.raw for one in sent)
    expected = [b"" if one.method == b"HEAD" else b"answer to " + one.target for one in sent]
    recorded = []
    for segments in ([raw], list(cut(raw, sizes))):
        ours.recorder.forget()
        assert expected == bodies(await play(ours.port, *segments), sent)
        recorded.append(list(ours.recorder.requests))
    at_once, in_segments = recorded
    assert meant(sent) == understood(at_once)
    assert at_once == in_segments
    assert [] == ours.recorder.faults + ours.recorder.cut


@bounded
@given(kinds=_kinds, answer_kinds=_answer_kinds, sizes=_sizes)
async def test_segments_of_answers(ours: Side, kinds: Kinds, answer_kinds: list[str], sizes: Sizes) -> None:
    """The caller gets the same answers, in order, whatever the upstream's segments are."""
    sent = exchanges("caller", kinds)
    by_target = dict(zip((one.target for one in sent), cycle(answer_kinds), strict=False))
    ours.recorder.forget()
    ours.recorder.script = answering(lambda request: by_target[request.target], sizes)
    heard = await play(ours.port, b"".join(one.raw for one in sent))
    assert meant(sent) == understood(ours.recorder.requests)
    expected = [answer(one, by_target[one.target])[1] for one in ours.recorder.requests]
    assert expected == bodies(heard, sent)
    assert [] == ours.recorder.faults + ours.recorder.cut


@bounded
@given(kinds=st.tuples(_kinds, _kinds), sizes=_sizes, answer_sizes=_sizes, turns=st.lists(st.booleans(), max_size=60))
async def test_interleaved_callers(
    ours: Side, kinds: tuple[Kinds, Kinds], sizes: Sizes, answer_sizes: Sizes, turns: list[bool]
) -> None:
    """Two callers whose segments come in any order get their own answers, and only those."""
    sent = [exchanges(who, some) for who, some in zip(("one", "other"), kinds, strict=True)]
    left = [list(cut(b"".join(one.raw for one in some), sizes)) for some in sent]
    ours.recorder.forget()
    ours.recorder.script = answering(
        lambda request: "chunks" if request.target.startswith(b"/one") else "length", answer_sizes
    )
    async with calling(ours.port) as one, calling(ours.port) as other:
        hearing = [asyncio.create_task(caller.heard()) for caller in (one, other)]
        for turn, fallback in zip_longest(turns, range(sum(map(len, left)))):
            who = bool(turn) if turn is not None else fallback % 2 == 0
            who = who if left[who] else not who
            if left[who]:
                await (one, other)[who].send(left[who].pop(0))
        heard = await asyncio.gather(*hearing)
    for some, what in zip(sent, heard, strict=True):
        found = bodies(what, some)
        assert all(
            b"" == body or body.startswith(b"answer to " + one.target) for one, body in zip(some, found, strict=True)
        )
    assert sorted(meant([*sent[0], *sent[1]])) == sorted(understood(ours.recorder.requests))
    assert [] == ours.recorder.faults + ours.recorder.cut


_PLAIN = b"GET /t/plain HTTP/1.1\r\nHost: localhost\r\n\r\n"
_CLOSING = b"GET /t/last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# The segments of one connection, and what is asked for on it.
SEEN_BEFORE = {
    "in another's field": ([b"GET /t/first HTTP/1.1\r\nX: ", _PLAIN, _CLOSING], [b"/first", b"/last"]),
    "in another's field, behind one": (
        [_PLAIN + b"GET /t/first HTTP/1.1\r\nX: ", _PLAIN, _CLOSING],
        [b"/plain", b"/first", b"/last"],
    ),
    "in another's body": (
        [b"POST /t/first HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(_PLAIN), _PLAIN, _CLOSING],
        [b"/first", b"/last"],
    ),
    "in another's chunk": (
        [
            b"POST /t/first HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(_PLAIN),
            _PLAIN,
            b"\r\n0\r\n\r\n",
            _CLOSING,
        ],
        [b"/first", b"/last"],
    ),
    "with the beginning of another": ([_PLAIN + _CLOSING[:30], _CLOSING[30:]], [b"/plain", b"/last"]),
    "with the beginning of a body": (
        [
            _PLAIN
            + b"POST /t/first HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(_PLAIN)
            + _PLAIN[:5],
            _PLAIN[5:],
            _CLOSING,
        ],
        [b"/plain", b"/first", b"/last"],
    ),
    "with an empty line before": ([b"\r\n" + _PLAIN, _PLAIN, _CLOSING], [b"/plain", b"/plain", b"/last"]),
    "behind an empty line": ([_PLAIN + b"\r\n", _PLAIN + b"\r", b"\n" + _CLOSING], [b"/plain", b"/plain", b"/last"]),
}


@pytest.mark.parametrize("name", SEEN_BEFORE)
async def test_bytes_seen_before(ours: Side, name: str) -> None:
    """Bytes that were a request once are one again only where a request begins, however often they have been seen."""
    segments, targets = SEEN_BEFORE[name]
    for _ in range(3):
        await play(ours.port, _PLAIN, _CLOSING)
        ours.recorder.forget()
        heard = await play(ours.port, *segments)
        answers, rest = take_answers(heard.data, [], ended=False)
        assert ("closed", b"") == (heard.end, rest)
        assert targets == [request.target for request in ours.recorder.requests]
        assert [b"answer to " + target for target in targets] == [one.body for one in answers]
    assert [] == ours.recorder.faults + ours.recorder.cut
