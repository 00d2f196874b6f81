"""Request lines in all shapes: methods, targets, versions, and what precedes them (RFC 9112 sections 2.2 and 3)."""

from __future__ import annotations

from tests.e2e.smuggling.case import GOT, NEXT, SMUGGLED, Case, Meant, either, get, refused, served

_METHODS = {
    "at sign": b"G@T",
    "colon": b"GET:",
    "parenthesis": b"GET(",
    "slash": b"GET/",
    "quotes": b'"GET"',
    "NUL behind": b"GET\x00",
    "NUL before": b"\x00GET",
    "control": b"G\x01ET",
    "vertical tab": b"G\x0bET",
    "two words": b"GET POST",
    "letter beyond ASCII": "GÉT".encode(),
    "byte order mark": b"\xef\xbb\xbfGET",
    "none": b"",
}
_TARGETS = {
    "space": b"/t/attack /x",
    "tab": b"/t/attack\tx",
    "vertical tab": b"/t/attack\x0bx",
    "NUL": b"/t/attack\x00",
    "NUL first": b"\x00/t/attack",
    "control": b"/t/attack\x01",
    "DEL": b"/t/attack\x7f",
    "CR": b"/t/attack\rx",
    "LF": b"/t/attack\nx",
    "fragment": b"/t/attack#a",
    "empty": b"",
    "no slash": b"t/attack",
    "authority": b"localhost:80",
    "question mark": b"?/t/attack",
    "backslash first": b"\\t/attack",
    "other scheme": b"ftp://localhost/t/attack",
    "no scheme": b"://localhost/t/attack",
    "userinfo": b"http://user@localhost/t/attack",
    "space in the authority": b"http://local host/t/attack",
    "NUL in the authority": b"http://local\x00host/t/attack",
    "two ports": b"http://localhost:80:81/t/attack",
    "bracket left open": b"http://[::1/t/attack",
    "no authority": b"http:///t/attack",
    "one slash": b"http:/localhost/t/attack",
    "a request in it": b"/t/attack HTTP/1.1\rHost: a\r\rGET /t/smuggled",
}
_VERSIONS = {
    "0.9": b"HTTP/0.9",
    "1.10": b"HTTP/1.10",
    "1.01": b"HTTP/1.01",
    "01.1": b"HTTP/01.1",
    "1.1.1": b"HTTP/1.1.1",
    "11": b"HTTP/11",
    "1": b"HTTP/1",
    "1.": b"HTTP/1.",
    "0.0": b"HTTP/0.0",
    "2.0": b"HTTP/2.0",
    "2": b"HTTP/2",
    "3.0": b"HTTP/3.0",
    "9.9": b"HTTP/9.9",
    "minus": b"HTTP/-1.1",
    "plus": b"HTTP/+1.1",
    "comma": b"HTTP/1,1",
    "hexadecimal": b"HTTP/1.a",
    "full-width digit": "HTTP/\uff11.1".encode(),
    "lower case": b"http/1.1",
    "mixed case": b"Http/1.1",
    "other name": b"HTTPS/1.1",
    "wrong name": b"HTPP/1.1",
    "ICE": b"ICE/1.0",
    "space in it": b"HTTP /1.1",
    "space behind the slash": b"HTTP/ 1.1",
    "tab behind": b"HTTP/1.1\t",
    "words behind": b"HTTP/1.1 x",
    "NUL behind": b"HTTP/1.1\x00",
    "vertical tab behind": b"HTTP/1.1\x0b",
    "CR behind": b"HTTP/1.1\r",
    "none": b"",
}
_LINES = {
    "tab behind the method": b"GET\t/t/attack HTTP/1.1",
    "tab before the version": b"GET /t/attack\tHTTP/1.1",
    "vertical tab behind the method": b"GET\x0b/t/attack HTTP/1.1",
    "CR behind the method": b"GET\r/t/attack HTTP/1.1",
    "NUL before the version": b"GET /t/attack\x00HTTP/1.1",
    "no space behind the method": b"GET/t/attack HTTP/1.1",
    "no space before the version": b"GET /t/attackHTTP/1.1",
    "space before": b" GET /t/attack HTTP/1.1",
    "tab before": b"\tGET /t/attack HTTP/1.1",
    "NUL before": b"\x00GET /t/attack HTTP/1.1",
    "empty line, then a space": b"\r\n GET /t/attack HTTP/1.1",
    "the method alone": b"GET",
    "no version": b"GET /t/attack",
    "LF for its end, no version": b"GET /t/attack\nX: a",
    "LF for its end": b"GET /t/attack HTTP/1.1\nX: a",
    "CR for its end": b"GET /t/attack HTTP/1.1\rX: a",
    "CRCRLF for its end": b"GET /t/attack HTTP/1.1\r",
    "folded": b"GET /t/attack\r\n HTTP/1.1",
    "a field before it": b"X: a\r\nGET /t/attack HTTP/1.1",
    "an answer": b"HTTP/1.1 200 OK",
    "a chunk before it": b"0\r\n\r\nGET /t/attack HTTP/1.1",
    "RTSP method": b"DESCRIBE rtsp://localhost/t/attack RTSP/1.0",
    "ICE version of a PUT": b"PUT /t/attack ICE/1.0",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "proxy protocol": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /t/attack HTTP/1.1",
}
_FORGIVEN = {
    "two spaces behind the method": b"GET  /t/attack HTTP/1.1",
    "two spaces before the version": b"GET /t/attack  HTTP/1.1",
    "space behind the version": b"GET /t/attack HTTP/1.1 ",
    "CR before": b"\rGET /t/attack HTTP/1.1",
}
# Read as HTTP of the same version by some parsers, and with that name gone on the way.
_NAMES = {"RTSP": b"GET /t/attack RTSP/1.0", "RTSP/1.1": b"GET /t/attack RTSP/1.1", "ICE": b"SOURCE /t/attack ICE/1.0"}
_LONG = {
    "a method without end": b"G" * 200_000,
    "a target longer than any head": b"GET /t/attack?" + b"a" * 90_000 + b" HTTP/1.1",
    "a target without end": b"GET /t/attack?" + b"a" * 200_000,
}
_NOT_FORWARDED = {
    "TRACE": b"TRACE /t/attack HTTP/1.1",
    "CONNECT": b"CONNECT /t/attack HTTP/1.1",
    "CONNECT with an authority": b"CONNECT localhost:80 HTTP/1.1",
    "OPTIONS *": b"OPTIONS * HTTP/1.1",
    "GET *": b"GET * HTTP/1.1",
    "PRI": b"PRI /t/attack HTTP/1.1",
    "lower case": b"get /t/attack HTTP/1.1",
    "mixed case": b"GeT /t/attack HTTP/1.1",
}


def _meant(method: bytes, target: bytes = b"/attack") -> Meant:
    return method, target, b""


CASES: list[Case] = [
    *refused("method", {name: get(line=method + b" /t/attack HTTP/1.1") for name, method in _METHODS.items()}),
    *refused("policy", {name: get(line=line) for name, line in _NOT_FORWARDED.items()}),
    *either("method", {"unknown": get(line=b"FROBNICATE /t/attack HTTP/1.1")}, _meant(b"FROBNICATE"), NEXT),
    *either("method", {"with signs": get(line=b"A-B_C /t/attack HTTP/1.1")}, _meant(b"A-B_C"), NEXT),
    *either("method", {"very long": get(line=b"A" * 300 + b" /t/attack HTTP/1.1")}, _meant(b"A" * 300), NEXT),
    *served("method", {"with a hyphen": get(line=b"M-SEARCH /t/attack HTTP/1.1")}, _meant(b"M-SEARCH"), NEXT),
    *served("method", {"DELETE": get(line=b"DELETE /t/attack HTTP/1.1")}, _meant(b"DELETE"), NEXT),
    *refused("target", {name: get(line=b"GET " + target + b" HTTP/1.1") for name, target in _TARGETS.items()}),
    *served("target", {"absolute": get(line=b"GET http://localhost/t/attack HTTP/1.1")}, GOT, NEXT),
    *served("target", {"absolute, https": get(line=b"GET https://localhost/t/attack HTTP/1.1")}, GOT, NEXT),
    *(
        case
        for name, end in (("CRLF", b"%0d%0aX:a"), ("NUL", b"%00"), ("a request", b"%20HTTP/1.1%0d%0a%0d%0aGET%20/"))
        for case in served(
            "target",
            {f"{name}, encoded": get(line=b"GET /t/attack" + end + b" HTTP/1.1")},
            _meant(b"GET", b"/attack" + end),
            NEXT,
        )
    ),
    *refused("version", {name: get(line=b"GET /t/attack " + version) for name, version in _VERSIONS.items()}),
    *either("version", {"1.2": get(line=b"GET /t/attack HTTP/1.2")}, GOT, NEXT),
    *either("version", {"1.9": get(line=b"GET /t/attack HTTP/1.9")}, GOT, NEXT),
    *served("version", {"1.0": get(line=b"GET /t/attack HTTP/1.0")}, GOT),
    *either("version", {"1.0, kept": get(b"Connection: keep-alive", line=b"GET /t/attack HTTP/1.0")}, GOT, NEXT),
    *refused("line", {name: get(line=line) for name, line in _LINES.items()}),
    *either("line", {name: get(line=line) for name, line in _FORGIVEN.items()}, GOT, NEXT),
    *either("protocol", {name: get(line=line) for name, line in list(_NAMES.items())[:2]}, GOT, NEXT),
    *either("protocol", {"ICE": get(line=_NAMES["ICE"])}, _meant(b"SOURCE")),
    *refused("line", {"HTTP/0.9": b"GET /t/attack\r\n"}),
    *refused("line", {"HTTP/0.9 with LF": b"GET /t/attack\n"}),
    *refused("line", {"cut in the target": b"GET /t/att"}),
    *served("line", {"CRLF before": b"\r\n" + get()}, GOT, NEXT),
    *either("line", {"CRLF thrice before": b"\r\n" * 3 + get()}, GOT, NEXT),
    *either("line", {"LF before": b"\n" + get()}, GOT, NEXT),
    *either("line", {"the next behind LF": get(then=b"\n" + SMUGGLED)}, GOT, NEXT),
    *refused("limit", {name: get(line=line) for name, line in _LONG.items()}),
    *refused("limit", {"nothing but empty lines": b"\r\n" * 200_000}),
]
