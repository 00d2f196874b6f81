"""Header fields in all shapes, Host above all, and heads without measure (RFC 9112 sections 3.2 and 5)."""

from __future__ import annotations

from tests.e2e.smuggling.case import GOT, NEXT, SMUGGLED, Case, either, get, refused, served

_HOSTS = {
    "twice": b"Host: localhost\r\nHost: elsewhere",
    "twice the same": b"Host: localhost\r\nHost: localhost",
    "twice, other case": b"Host: localhost\r\nhOST: elsewhere",
    "twice, one empty": b"Host: localhost\r\nHost:",
    "twice, apart": b"Host: localhost\r\nX: a\r\nHost: elsewhere",
    "second behind a space": b"Host: localhost\r\n Host: elsewhere",
    "second behind LF": b"Host: localhost\nHost: elsewhere",
    "second behind CR": b"Host: localhost\rHost: elsewhere",
    "folded": b"Host: localhost\r\n .elsewhere",
    "first, behind a space": b" Host: localhost",
    "space before colon": b"Host : localhost",
    "tab before colon": b"Host\t: localhost",
    "missing": b"",
    "list": b"Host: localhost, elsewhere",
    "two words": b"Host: localhost elsewhere",
    "tab in it": b"Host: localhost\telsewhere",
    "userinfo": b"Host: user@localhost",
    "userinfo with colon": b"Host: user:secret@localhost",
    "path": b"Host: localhost/t",
    "backslash": b"Host: localhost\\t",
    "query": b"Host: localhost?a",
    "fragment": b"Host: localhost#a",
    "scheme": b"Host: http://localhost",
    "NUL": b"Host: local\x00host",
    "control": b"Host: local\x01host",
    "DEL": b"Host: local\x7fhost",
    "bracket left open": b"Host: [::1",
    "bracket, then more": b"Host: [::1]x",
    "bracket in the name": b"Host: local]host",
    "two ports": b"Host: localhost:80:81",
    "word for a port": b"Host: localhost:http",
    "port with sign": b"Host: localhost:-1",
}
_NAMES = {
    "no colon": b"nothing",
    "empty name": b": a",
    "empty name, behind a space": b" : a",
    "blank line of spaces": b"  ",
    "space in the name": b"X A: a",
    "space behind the name": b"X : a",
    "tab behind the name": b"X\t: a",
    "NUL in the name": b"X\x00: a",
    "NUL before the name": b"\x00X: a",
    "control in the name": b"X\x01: a",
    "vertical tab in the name": b"X\x0b: a",
    "DEL in the name": b"X\x7f: a",
    "no-break space in the name": b"X\xa0: a",
    "letter beyond ASCII": "Ä: a".encode(),
    "parenthesis": b"X(: a",
    "brackets": b"[X]: a",
    "quotes": b'"X": a',
    "at sign": b"X@Y: a",
    "comma": b"X,Y: a",
    "slash": b"X/Y: a",
    "equals": b"X=Y: a",
    "a request": b"GET /t/smuggled HTTP/1.1",
    "a request with a colon": b"GET http://localhost/t/smuggled HTTP/1.1",
}
_VALUES = {
    "NUL": b"X: a\x00b",
    "NUL alone": b"X: \x00",
    "start of heading": b"X: a\x01b",
    "bell": b"X: a\x07b",
    "backspace": b"X: a\x08b",
    "vertical tab": b"X: a\x0bb",
    "form feed": b"X: a\x0cb",
    "escape": b"X: a\x1bb",
    "DEL": b"X: a\x7fb",
    "CR": b"X: a\rb",
    "CR at its end": b"X: a\r",
    "CR before a space": b"X: a\r b",
    "LF": b"X: a\nb",
    "LF, then a field": b"X: a\nY: b",
    "LF before CRLF": b"X: a\n",
    "LFCR": b"X: a\n\rY: b",
    "folded": b"X: a\r\n b",
    "folded with a tab": b"X: a\r\n\tb",
    "folded with LF": b"X: a\n b",
    "folded, empty": b"X: a\r\n ",
    "empty, folded": b"X:\r\n a",
}
_SOUND = {
    "every sign of a token": b"X!#$%&'*+-.^`|~9: a",
    "letters beyond ASCII in a value": b"X: caf\xe9",
    "tab in a value": b"X: a\tb",
    "empty value": b"X:",
    "colons in a value": b"X: : a: b",
    "the same twice": b"X: a\r\nX: a",
    "a request in a value": b"X: GET /t/smuggled HTTP/1.1",
}
_ABSOLUTE = b"GET http://localhost/t/attack HTTP/1.1"
_FIELDS_1000 = b"\r\n".join(b"X-%d: a" % number for number in range(1000))

CASES: list[Case] = [
    *refused("Host", {name: get(host=host) for name, host in _HOSTS.items()}),
    *refused("policy", {"empty Host": get(b"Connection: close", host=b"Host:", then=b"")}),
    *refused("policy", {"dots for a Host": get(b"Connection: close", host=b"Host: ..", then=b"")}),
    *either("Host", {"port out of range": get(host=b"Host: localhost:99999")}, GOT, NEXT),
    *either("Host", {"port left empty": get(host=b"Host: localhost:")}, GOT, NEXT),
    *served(
        "Host",
        {
            "with port": get(host=b"Host: localhost:8080"),
            "address": get(host=b"Host: [::1]:8080"),
            "no space": get(host=b"Host:localhost"),
            "not the first field": get(b"Host: localhost", host=b"X: a"),
            "other than an absolute target": get(line=_ABSOLUTE, host=b"Host: elsewhere"),
        },
        GOT,
        NEXT,
    ),
    *served("Host", {"missing in HTTP/1.0": get(line=b"GET /t/attack HTTP/1.0", host=b"", then=b"")}, GOT),
    *refused(
        "Host",
        {
            "twice in HTTP/1.0": get(b"Host: elsewhere", line=b"GET /t/attack HTTP/1.0", then=b""),
            "missing with an absolute target": get(line=_ABSOLUTE, host=b""),
            "twice with an absolute target": get(b"Host: elsewhere", line=_ABSOLUTE),
        },
    ),
    *refused("field", {name: get(b"A: a", line, b"Z: z") for name, line in _NAMES.items()}),
    *refused(
        "field, first",
        {
            name: get(b"Z: z", host=line + b"\r\nHost: localhost")
            for name, line in _NAMES.items()
            if b" " in line or b"\x00" in line
        },
    ),
    *refused("value", {name: get(b"A: a", line, b"Z: z") for name, line in _VALUES.items()}),
    *refused(
        "value",
        {f"{name}, last": get(b"A: a", line) for name, line in _VALUES.items() if b"\r" in line or b"\n" in line},
    ),
    *served("value", {name: get(b"A: a", line, b"Z: z") for name, line in _SOUND.items()}, GOT, NEXT),
    *refused(
        "limit",
        {
            "a field longer than any head": get(b"X: " + b"a" * 90_000),
            "a name longer than any head": get(b"X" * 90_000 + b": a"),
            "a field without end": get(b"X: " + b"a" * 200_000, then=b"")[:-2],
            "a name without end": get(b"X" * 200_000, then=b"")[:-2],
            "fields longer than any head": get(*[b"X: " + b"a" * 1000] * 99),
            "too many fields": get(_FIELDS_1000),
            "too many empty fields": get(b"\r\n".join([b"X:"] * 1000)),
        },
    ),
    *refused(
        "head",
        {
            "only LF": get(b"A: a", b"B: b").replace(b"\r\n", b"\n"),
            "only CR": get(b"A: a", b"B: b").replace(b"\r\n", b"\r"),
            "LF for the empty line": get(b"A: a", then=b"").removesuffix(b"\r\n") + b"\n" + SMUGGLED,
            "CRLFLF": get(b"A: a", then=b"").removesuffix(b"\r\n\r\n") + b"\n\r\n" + SMUGGLED,
            "CRCRLF": get(b"A: a\r"),
            # What only waits is ended by client_header_timeout.
            "cut behind many fields": get(_FIELDS_1000, then=b"")[:-2],
            "cut in a name": get(b"X", then=b"")[:-4],
            "cut before the empty line": get(b"X: a", then=b"")[:-2],
            "cut in the empty line": get(b"X: a", then=b"")[:-1],
        },
    ),
    *served("limit", {"many fields": get(*[b"X: " + b"a" * 60] * 90)}, GOT, NEXT),
]
