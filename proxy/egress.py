"""How calls leave this machine: whom TLS trusts, and through which forward proxy they go.

Trust: the system's certificate authorities (OpenSSL's SSL_CERT_FILE and SSL_CERT_DIR move them) and those of `ca_file`.
Verification is always on. The proxy is named by the environment, read here and nowhere else:

    https       https_proxy, HTTPS_PROXY, else all_proxy, ALL_PROXY
    http        http_proxy, HTTP_PROXY, else all_proxy, ALL_PROXY
    no_proxy    what goes without: `*`; a host or a domain with all below it, `.` or `*.` before it or not;
                an IP address or a CIDR network; each with `:port` or without

As in curl and urllib, a lower-case name goes before its upper-case twin and, set to nothing, switches it off.
HTTP_PROXY is not read where REQUEST_METHOD is set: there a caller's `Proxy:` field may have set it (httpoxy.org).
Loopback upstreams never go through a proxy, as in Go. No text and no repr here shows what a variable holds.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from .config import TlsFiles, Upstream, is_loopback
from .config.load import check_authorities
from .errors import ConfigError, EgressProxyError
from .secret import Secret

_MAX_HEAD = 64 << 10  # bytes of the head of an answer to CONNECT
_PIECE = 4096
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """A forward proxy, and the `variable` that names it. `authorization` is a field's value, empty for none."""

    host: str
    port: int
    variable: str
    authorization: Secret = field(default_factory=lambda: Secret(""))

    @property
    def origin(self) -> str:
        """Give its URL, without user and password."""
        return Upstream("http", self.host, self.port).origin

    def __str__(self) -> str:
        return f"the proxy that {self.variable} names"

    def fields(self) -> dict[str, str]:
        """Give the fields that it wants to see in a request: a secret leaves here."""
        return {"Proxy-Authorization": self.authorization.reveal()} if self.authorization else {}


@dataclass(frozen=True, slots=True)
class Egress:
    """Whom calls trust, and where the environment says which proxy they take."""

    trust: ssl.SSLContext
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, files: TlsFiles, environ: Mapping[str, str]) -> Egress:
        """Give the egress of a configuration. Raises `ConfigError`."""
        return cls(upstream_trust(files), environ)

    @classmethod
    def system(cls) -> Egress:
        """Give what holds without a configuration."""
        return cls.of(TlsFiles(), os.environ)

    def proxy(self, url: str) -> EgressProxy | None:
        """Give the proxy for an absolute URL. Raises `EgressProxyError`."""
        to = Upstream.parse(url.partition("?")[0])
        return egress_proxy(to.scheme, to.host, to.port, self.environ)

    def call(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Give the arguments by which aiohttp sends `headers` to `url` the right way. Raises `EgressProxyError`."""
        proxy = self.proxy(url)
        if proxy is None:
            return {"headers": headers, "ssl": self.trust}
        if url.startswith("https:"):
            return {"headers": headers, "ssl": self.trust, "proxy": proxy.origin, "proxy_headers": proxy.fields()}
        return {"headers": {**headers, **proxy.fields()}, "proxy": proxy.origin}


def upstream_trust(files: TlsFiles) -> ssl.SSLContext:
    """Give the TLS settings of every call. Raises `ConfigError` where `ca_file` cannot be used."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if files.ca is not None:
        try:
            check_authorities(files.ca)
            context.load_verify_locations(cafile=files.ca)
        except (OSError, ValueError) as error:
            raise ConfigError([f"{files.ca}: ca_file: {error}"]) from None
    return context


def egress_proxy(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> EgressProxy | None:
    """Give the proxy by which an origin is reached, None for the direct way. Raises `EgressProxyError`."""
    if is_loopback(host) or _bypassed(host, port, _value(environ, "no_proxy")[1]):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        variable, value = _value(environ, name)
        if variable:
            return _parse(value, variable) if value else None
    return None


async def open_tunnel(sock: socket.socket, proxy: EgressProxy, upstream: Upstream) -> None:
    """Have the proxy connect `sock` through to the upstream. Raises `EgressProxyError`."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, _connect_request(proxy, upstream))
        answer, end = bytearray(), None
        while end is None:
            piece = await loop.sock_recv(sock, _PIECE)
            if not piece:
                raise EgressProxyError(f"{proxy} closed the connection without an answer to CONNECT")
            answer += piece
            if len(answer) > _MAX_HEAD:
                raise EgressProxyError(f"the answer to CONNECT of {proxy} is too long")
            end = _HEAD_END.search(answer, max(0, len(answer) - len(piece) - 2))
    except OSError:
        raise EgressProxyError(f"{proxy} broke the connection before its answer to CONNECT") from None
    status = _STATUS.match(answer)
    if status is None:
        raise EgressProxyError(f"{proxy} did not answer CONNECT in HTTP")
    if not status[1].startswith(b"2"):
        raise EgressProxyError(_refusal(int(status[1]), proxy, upstream))
    if len(answer) > end.end():
        # The upstream waits for our greeting: nobody can have sent this but the proxy.
        raise EgressProxyError(f"{proxy} sent bytes of its own into the tunnel")


def _connect_request(proxy: EgressProxy, upstream: Upstream) -> bytes:
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    authority = f"{host}:{upstream.port}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in proxy.fields().items())
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n".encode("ascii")


def _refusal(status: int, proxy: EgressProxy, upstream: Upstream) -> str:
    """Say what an answer to CONNECT means that is no success."""
    if status == 407:
        had = "does not take the user and password that are" if proxy.authorization else "wants a user and a password"
        return f"{proxy} {had} in that variable (407)"
    if status in (502, 503, 504):
        return f"{proxy} cannot reach {upstream.origin} ({status})"
    return f"{proxy} does not connect to {upstream.origin} ({status}): allow it there, or add it to NO_PROXY"


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Give the variable that counts, and its value; nothing where neither does."""
    if name in environ:
        return name, environ[name].strip()
    upper = name.upper()
    if upper == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
        return "", ""
    value = environ.get(upper, "").strip()
    return (upper, value) if value else ("", "")


def _parse(value: str, variable: str) -> EgressProxy:
    """Read a proxy's URL; without a scheme it is http, as in curl and Go."""
    scheme = _SCHEME.match(value)
    if scheme is not None and scheme[1].lower() != "http":
        raise EgressProxyError(f"{variable} names a proxy that is not http://, and no other kind can be used")
    userinfo, _, place = value[scheme.end() if scheme else 0 :].rpartition("@")
    try:
        there = Upstream.parse(f"http://{place}")
    except ValueError:
        there = None
    if there is None or there.base:
        raise EgressProxyError(
            f"{variable} is not a proxy's URL: it must be http://host:port, or http://user:password@host:port"
        )
    return EgressProxy(there.host, there.port, variable, _basic(userinfo))


def _basic(userinfo: str) -> Secret:
    """Give the value of Proxy-Authorization (RFC 7617) for what stands before the @."""
    if not userinfo:
        return Secret("")
    user, _, password = userinfo.partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return Secret("Basic " + base64.b64encode(pair).decode())


def _bypassed(host: str, port: int, patterns: str) -> bool:
    name = host.lower().rstrip(".")
    address = _address(name)
    return any(_matches(pattern, name, address, port) for pattern in re.split(r"[,\s]+", patterns.lower()) if pattern)


def _matches(pattern: str, name: str, address: _IPAddress | None, port: int) -> bool:
    """Tell whether one entry of NO_PROXY means a host. An entry that cannot be read means none."""
    if pattern == "*":
        return True
    place, of_port = _split_port(pattern)
    if of_port not in ("", str(port)):
        return False
    if address is not None:
        try:
            return address in ipaddress.ip_network(place, strict=False)
        except ValueError:
            return False
    suffix = place.removeprefix("*").strip(".")
    return name == suffix or name.endswith(f".{suffix}")


def _split_port(pattern: str) -> tuple[str, str]:
    if pattern.startswith("["):
        place, _, rest = pattern[1:].partition("]")
        return place, rest.removeprefix(":")
    if pattern.count(":") == 1:
        place, _, port = pattern.partition(":")
        return place, port
    return pattern, ""  # an IPv6 address that stands bare has no port


def _address(name: str) -> _IPAddress | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
