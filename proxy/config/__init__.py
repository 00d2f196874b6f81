"""The configuration: a YAML file → frozen values, every problem with its line."""

from .address import Address, Network, Upstream, is_loopback
from .load import LISTEN_VARIABLE, STORE_VARIABLE, load, schema
from .model import INTERACTIVE, OOB, Provider, org_key
from .providers import presets
from .redirect import CALLBACK, redirect_to_send, same_host
from .source import Problem
from .values import EVERYBODY, LOOPBACK_ONLY, ORG_PK, Anonymous, Config, CredentialConfig, Limits, RouteConfig, TlsFiles

__all__ = [
    "CALLBACK",
    "EVERYBODY",
    "INTERACTIVE",
    "LISTEN_VARIABLE",
    "LOOPBACK_ONLY",
    "OOB",
    "ORG_PK",
    "STORE_VARIABLE",
    "Address",
    "Anonymous",
    "Config",
    "CredentialConfig",
    "Limits",
    "Network",
    "Problem",
    "Provider",
    "RouteConfig",
    "TlsFiles",
    "Upstream",
    "is_loopback",
    "load",
    "org_key",
    "presets",
    "redirect_to_send",
    "same_host",
    "schema",
]
