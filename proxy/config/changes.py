"""What a running proxy can take over of another configuration, and what waits for its next start. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

from ..errors import ConfigError
from .address import Address
from .values import Config, Limits

# Fields of `Config` that sockets, files and connections were made of.
_READ_ONCE = ("listen", "admin", "store", "spool_dir", "limits", "log_format", "log_level", "access_log")
KEYS = {  # of the configuration, where fields of `Limits` are called otherwise
    "connect_timeout": "proxy_connect_timeout",
    "send_timeout": "proxy_send_timeout",
    "read_timeout": "proxy_read_timeout",
    "body_buffer_size": "client_body_buffer_size",
    "client_send_timeout": "send_timeout",
}


def check_change(started: Config, after: Config) -> None:
    """Refuse what would leave a running proxy open, or empty. Raises `ConfigError`."""
    problems = [*_unusable_now(started, after)]
    if problems:
        raise ConfigError([f"{after.path}: {problem}" for problem in problems])


def as_far_as_possible(started: Config, after: Config) -> Config:
    """Give the configuration that a running proxy can go on with."""
    return replace(after, **{name: getattr(started, name) for name in _READ_ONCE})


def needing_restart(before: Config, after: Config) -> Iterator[str]:
    """Name what differs and takes effect at the next start only."""
    yield from (name for name in _READ_ONCE if name != "limits" and getattr(before, name) != getattr(after, name))
    names = (field.name for field in fields(Limits))
    yield from (KEYS.get(name, name) for name in names if getattr(before.limits, name) != getattr(after.limits, name))
    if before.tls.ca != after.tls.ca:
        yield "ca_file"
    if before.callers.socket != after.callers.socket:
        yield "socket_mode and socket_users"
    if before.own_listeners != after.own_listeners:
        yield "listen of routes"


def _unusable_now(started: Config, after: Config) -> Iterator[str]:
    """Say what would stand open until the restart: listeners stay, and what has to guard them would go."""
    if _beyond_loopback(started.admin) and not after.admin_key:
        yield "admin_key: until a restart the control plane listens beyond loopback, and needs one"
    networks = after.callers.anonymous.networks
    wide = networks is None or not all(network.is_loopback for network in networks)
    if wide and _beyond_loopback(started.listeners) and not _beyond_loopback(after.listeners):
        yield "anonymous: until a restart the data plane listens beyond loopback, where this admits callers"
    if any(address.tls for address in started.listeners) and after.tls.certificate is None:
        yield "ssl_certificate: until a restart the data plane listens with ssl, and needs one"
    if started.routes and not (after.routes or after.credentials):
        yield "it names neither routes nor credentials: is it written whole?"


def _beyond_loopback(addresses: Iterable[Address]) -> bool:
    return any(not address.loopback for address in addresses)
