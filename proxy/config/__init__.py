"""The configuration: a YAML file → frozen values, every problem with its line."""

from .address import Address, Network, Upstream, is_loopback
from .fields import OOB, KeyHash, org_key
from .load import LISTEN_VARIABLE, STORE_VARIABLE, load, schema
from .model import INTERACTIVE, Provider
from .providers import presets
from .redirect import CALLBACK, redirect_to_send, same_host
from .source import Problem
from .values import (
    EVERYBODY,
    LOOPBACK_ONLY,
    NOBODY,
    ORG_PK,
    Anonymous,
    Callers,
    ClientConfig,
    Config,
    CredentialConfig,
    Limits,
    RealIp,
    RouteConfig,
    SocketAccess,
    TlsFiles,
    is_in,
)

__all__ = [
    "CALLBACK",
    "EVERYBODY",
    "INTERACTIVE",
    "LISTEN_VARIABLE",
    "LOOPBACK_ONLY",
    "NOBODY",
    "OOB",
    "ORG_PK",
    "STORE_VARIABLE",
    "Address",
    "Anonymous",
    "Callers",
    "ClientConfig",
    "Config",
    "CredentialConfig",
    "KeyHash",
    "Limits",
    "Network",
    "Problem",
    "Provider",
    "RealIp",
    "RouteConfig",
    "SocketAccess",
    "TlsFiles",
    "Upstream",
    "is_in",
    "is_loopback",
    "load",
    "org_key",
    "presets",
    "redirect_to_send",
    "same_host",
    "schema",
]
