"""What attackers write where a path belongs: spellings of dots, slashes and letters, and the paths made of them."""

from __future__ import annotations

from itertools import cycle, product

DOTS = (
    *("..", "%2e%2e", "%2E%2e", ".%2e", "%2E.", ".", "%2e", "%2E", "...", "..%2e", ".%20.", "./."),
    *("..;", "..;x=1", "..;/;", "%2e%2e;a", "..%3b", "..%3Bx", ".;x", ";x..", "..;%2f", "..;%5c"),
    *("..%20", "%20..", "..%09", "..%0d%0a", "%0a..", "..%00", "..%00x", "%00..", "..%01", "..%7f", "..%a0"),
    *("..%3fx", "..%3F", "..%23x", "..%26", "..%2a", "..%25", "..%", "%..", "..%2", "..+", "+.."),
    *("%252e%252e", "%25%32%65.", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "%f0%80%80%ae.", "%c0%2e%c0%2e"),
    *("%u002e%u002e", "%uff0e%uff0e", "%ef%bc%8e%ef%bc%8e", "%e2%80%a4%e2%80%a4", "0x2e0x2e", "&#46;&#46;", "\xff.."),
)
SLASHES = (
    *("/", "//", "///", "%2f", "%2F", "/%2f", "%2f/", "\\", "%5c", "%5C", "\\/", "/\\", "%5c%2f"),
    *("/;/", "/;x=1/", ";x/", ";%2f", ";%5c/", "%3b/", "%3b%2f", "/./", "/%2e/", "/%20/", "/%00/", "%09/"),
    *(";%2fx/", ";\\x/", "%3b\\x/", "%3b%2fx/"),
    *("%252f", "%255c", "%c0%af", "%e0%80%af", "%u2215", "%ef%bc%8f", "%e2%88%95"),
)
WORDS = (
    *("api", "v1", "v2", "orgs", "7kQ2f", "orders", "@me", "%40me", "%40ME", "{org_pk}", "a%20b"),
    *("oauth", "oauth2", "OAuth2", "authorize", "token", "TOKEN", "tok%65n", "oauth2%20", "%00token"),
)
TAILS = (
    *("", "/", "//", ";x", ";/", ";%2f..;", "%20", "%00", "%00.json", "%0a", "%3fa", "%23a"),
    *("%2f", "\\", "/below", ".", "%2e"),
)
QUERIES = ("", "?", "?a=b", "?../..", "?/../x", "?_method=DELETE", "?_method=PUT&a", "?a;_method=PUT", "?%5fmethod=PUT")

BEFORE = ("/", "//", "/\\", "/;", "/;x", "//x", "/\\x", "///x", "//\\x", "//////u:p@x:1", "/%2f", "/x/..", "/.")
ODD = (
    *("%2F", "%25", "%zz", "%", "+", "%252e%252e", "a;b=c", "a//b", "caf\xe9", "caf%C3%A9", "a%20b", "...", ".a", "a."),
    *("token", "oauth2", "api/v1/oauth2x", "oauths/authorize", "tokens", "x/token", "@me", "%40me", "a:b", "http://h/"),
    *("%u002e%u002e/x", "%c0%ae%c0%ae/x", "%ef%bc%8e%ef%bc%8e/x", "&#46;", "{org_pk}", "~", "'\"<>|^`{}", "a=b&c", "*"),
)

# The endpoints that no request may reach, and the same in the disguises of letters.
CLOSED = ("/api/v1/oauth2", "/oauth/authorize", "/token")
ENDPOINTS = ("/api/v1/oauth2/token/", "/api/v1/oauth2", "/oauth/authorize", "/token", "/v1/oauth2/token/")


def escaped(text: str, *, every: int, upper: bool = False) -> str:
    """Every so-manieth letter or digit of a text in percent-encoding."""
    form = "%{:02X}" if upper else "%{:02x}"
    return "".join(
        form.format(ord(letter)) if letter.isalnum() and at % every == 0 else letter for at, letter in enumerate(text)
    )


def climbs() -> list[str]:
    """Paths that would leave a base path of three segments for an endpoint: each spelling of dots and of slashes."""
    starts, ends = cycle(["", "/a", "/a/b", "/a%2fb"]), cycle(["token", "api/v1/oauth2/token/", "x", ""])
    paths = []
    for dots, slash in [*product(DOTS, SLASHES[:4]), *product(DOTS[:4], SLASHES[4:])]:
        first = "/" if slash.startswith(("%", ";")) else slash[0].replace("\\", "/")
        paths.append(f"{next(starts)}{first}{slash.join([dots] * 4)}{slash}{next(ends)}")
    return paths


def disguises() -> list[str]:
    """Paths that mean an endpoint to some server."""
    paths = []
    for endpoint in ENDPOINTS:
        paths += [
            endpoint.upper(),
            endpoint.title(),
            escaped(endpoint, every=1),
            escaped(endpoint, every=3, upper=True),
        ]
        paths += ["/" + endpoint[1:].replace("/", slash) for slash in SLASHES]
        paths += [endpoint.rstrip("/") + tail for tail in TAILS]
        paths += [start + endpoint for start in BEFORE]
    return paths


def harmless() -> list[str]:
    """Paths that stay where they are, however odd."""
    paths = [*(f"/{one}" for one in ODD), *(f"/orders/{one}/" for one in ODD)]
    return ["", "/", *paths, "/" + "a" * 3000, "/" + "%41" * 1000]


def corpus() -> list[str]:
    """All of them, each once, every one with a query of its own."""
    paths = dict.fromkeys([*climbs(), *disguises(), *harmless()])
    return [path + query for path, query in zip(paths, cycle(QUERIES), strict=False)]
