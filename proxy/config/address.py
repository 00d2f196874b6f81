"""Where we listen and where we call: addresses, networks and origins as values. Pure, no look-ups."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>\d{1,5})")
_NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]|[\\<>\"^`|]")
_HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
# A . or .. segment in every form in which `gateway.target` judges a path, once it is decoded.
_DOTS = re.compile(r"(?:^|[/\\])[\x00-\x20]*\.{1,2}[\x00-\x20]*(?:[/\\;?#\x00]|\Z)")
_DEFAULT_PORT = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Tell whether `host`, a name or an IP literal, can only mean this machine."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen: `host` and `port`, or the `path` of a unix socket; with `tls`, callers speak TLS there."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port`, `[v6]:port`, `*:port` or `unix:/path`, and ` ssl` after it (nginx's `listen … ssl`).

        Raises ValueError saying what is expected.
        """
        place, tls = _marked(text)
        if place.startswith("unix:"):
            if not place.startswith("unix:/"):
                raise ValueError("a unix socket is written unix:/absolute/path")
            return cls(path=place.removeprefix("unix:"), tls=tls)
        match = _LISTEN.fullmatch(place)
        if match is not None and int(match["port"]) > 65535:
            raise ValueError("a port is 65535 at most")
        if match is None and _LISTEN.fullmatch(place.partition(" ")[0]):
            raise ValueError("nothing but ssl may follow an address")
        if match is None or (match["six"] and not _is_six(match["six"])):
            raise ValueError("an address is written host:port, [v6]:port, *:port or unix:/path")
        return cls(host=match["six"] or match["host"] or "*", port=int(match["port"]), tls=tls)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Give the hosts to bind: `localhost` is both loopback addresses, `*` all addresses of both families."""
        if self.host.lower() == "localhost":
            return ("127.0.0.1", "::1")
        return ("0.0.0.0", "::") if self.host == "*" else (self.host,)  # noqa: S104 - asked for by name

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return bool(self.path) or is_loopback(self.host)

    @property
    def place(self) -> str:
        """Give it as it is written, whatever is spoken there."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.place} ssl" if self.tls else self.place


@dataclass(frozen=True, slots=True)
class Upstream:
    """The origin that a route calls, and the base path there (without a final slash, `` for none).

    `authority` is the Host field's value: the port is left out where it is the scheme's own. `origin` is scheme, host
    and port as one text, for comparing and for building URLs.
    """

    scheme: str
    host: str
    port: int
    base: str = ""
    authority: str = field(init=False, repr=False, compare=False)
    origin: str = field(init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Upstream:
        """Read an absolute http or https URL. Raises ValueError saying what is expected."""
        if _NOT_IN_A_URL.search(text):
            raise ValueError("a URL is plain ASCII without blanks; a host of other letters is written as xn--…")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("this is not a URL") from None
        if parts.scheme not in _DEFAULT_PORT or not parts.hostname:
            raise ValueError("this must be an absolute URL, such as https://api.example.com/v1")
        if not (_is_six(parts.hostname) or _HOSTNAME.fullmatch(parts.hostname)):
            raise ValueError("the host of this URL is no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a URL with credentials in it is refused: the credential adds them")
        if parts.query or parts.fragment or "?" in text or "#" in text:
            raise ValueError("an upstream ends with its path: no ? and no #")
        if _DOTS.search(unquote_to_bytes(parts.path).decode("latin-1")):
            raise ValueError("a URL's path has no . or .. segments here, encoded or not")
        base = parts.path.rstrip("/")
        return cls(parts.scheme, parts.hostname, _DEFAULT_PORT[parts.scheme] if port is None else port, base)

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"
        object.__setattr__(self, "authority", authority)
        object.__setattr__(self, "origin", f"{self.scheme}://{authority}")

    @property
    def in_clear(self) -> bool:
        """Tell whether tokens would cross a network unencrypted."""
        return self.scheme == "http" and not is_loopback(self.host)

    def __str__(self) -> str:
        return self.origin + self.base


def _is_six(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _marked(text: str) -> tuple[str, bool]:
    """Cut nginx's ` ssl` off, and tell whether it was there."""
    place = text.removesuffix("ssl")
    tls = place != text and place.endswith((" ", "\t"))
    return (place.rstrip(" \t"), True) if tls else (text, False)
