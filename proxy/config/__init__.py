"""The configuration: a YAML file → frozen values, every problem with its line."""

from .address import Address, Network, Upstream, is_loopback
from .load import LISTEN_VARIABLE, STORE_VARIABLE, load, schema
from .model import Provider
from .providers import presets
from .source import Problem
from .values import EVERYBODY, LOOPBACK_ONLY, Anonymous, Config, CredentialConfig, Limits, RouteConfig

__all__ = [
    "EVERYBODY",
    "LISTEN_VARIABLE",
    "LOOPBACK_ONLY",
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
    "Upstream",
    "is_loopback",
    "load",
    "presets",
    "schema",
]
