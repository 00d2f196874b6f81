"""config.yaml → `Config`: the file read, each value validated, presets merged, and what ties keys together checked.

Every problem is reported at once, at its line. Warnings do not fail. Only `load` does I/O, through `source.py`,
and `exposure.py` for the certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from .model import ConfigFile, Credential, Provider, Route
from .providers import hint
from .resolve import Resolver
from .source import KeyPath, Problem, Source, read_source
from .values import Config

LISTEN_VARIABLE = "BEARER_PROXY_LISTEN"
STORE_VARIABLE = "BEARER_PROXY_STORE"

_NOT_YET = {
    "clients": "callers' keys are not enforced by this version: remove it, and admit callers with anonymous",
    "hosts": "not enforced by this version: remove it",
    "store_key": "tokens are not encrypted at rest by this version: remove it, and guard the store's folder",
}
_EMPTY: dict[str | int, dict[str, str]] = {
    "credentials": {"provider": ""},
    "routes": {"credential": ""},
    "providers": {},
}
_ROUNDS = 20  # each round drops what the last found bad; three are the most ever seen
_MESSAGES = {
    "missing": "this key is needed and missing",
    "string_type": "this must be a text: put it in quotes",
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
    "dict_type": "this must be a mapping of keys to values",
    "model_type": "this must be a mapping of keys to values",
    "model_attributes_type": "this must be a mapping of keys to values",
    "list_type": "this must be a list",
    "tuple_type": "this must be a list",
    "string_pattern_mismatch": "a name has letters, digits, dots, dashes and underscores, 64 at most",
}


def load(path: Path, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """Read the configuration at `path`; give it with its warnings.

    Raises `ConfigError` holding every problem when there is one that is not a warning.
    """
    source = read_source(path, environ)
    config = None
    if source.data is not None:
        source.next_stage()
        model = _validate(source, environ)
        source.next_stage()
        config = Resolver(source, model, LISTEN_VARIABLE if environ.get(LISTEN_VARIABLE) else "").config()
        if config.tls.ca is not None:
            try:
                check_authorities(config.tls.ca)
            except ValueError as error:
                source.report(("ca_file",), str(error))
    problems = sorted(source.problems, key=lambda problem: problem.line)
    if config is None or not all(problem.warning for problem in problems):
        raise ConfigError(problems)
    return config, problems


def check_authorities(path: Path) -> None:
    """Raise ValueError where TLS cannot trust the certificates of a PEM file, saying why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ValueError("this file holds no certificates in PEM form that can be read") from None
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except OSError as error:
        raise ValueError(f"this file cannot be read: {error.strerror}") from None
    if not context.cert_store_stats()["x509"]:
        raise ValueError("this file holds no certificates")


def schema() -> dict[str, Any]:
    """Give the JSON Schema of config.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ConfigFile.model_json_schema()}


def _validate(source: Source, environ: Mapping[str, str]) -> ConfigFile:
    """Check each value alone, report what is wrong, and give the model of all the rest."""
    if not isinstance(source.data, dict):
        source.report((), "a configuration is a mapping of keys to values")
        return ConfigFile()
    # A section with everything in it commented out is null, and as good as absent; `admin: null` says something.
    data: dict[Any, Any] = {
        key: value
        for key, value in source.data.items()
        if key not in _NOT_YET and (value is not None or key == "admin")
    }
    for key, message in _NOT_YET.items():
        if source.data.get(key):
            source.report((key,), message)
    listen = environ.get(LISTEN_VARIABLE)
    if listen:
        data["listen"] = listen.split(",")
    if environ.get(STORE_VARIABLE):
        data["store"] = environ[STORE_VARIABLE]
    for _ in range(_ROUNDS):
        try:
            return ConfigFile.model_validate(data)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False):
                path = item["loc"][:-1] if item["type"] == "string_pattern_mismatch" else item["loc"]
                message = _message(item, path)
                if listen and path[:1] == ("listen",):
                    message = f"{LISTEN_VARIABLE}: {message}"
                source.report(path, message)
                data = _without(data, path, whole=item["type"] == "missing")
        source.next_stage()
    return ConfigFile()


def _without(data: dict[Any, Any], path: KeyPath, *, whole: bool) -> dict[Any, Any]:
    """Copy `data` less the bad value at `path`; an entry that is bad as a whole gives way to an empty one."""
    section, *rest = path
    if not rest or section not in _EMPTY or not isinstance(data[section], dict | list):
        return {key: value for key, value in data.items() if key != section}
    entries = data[section].copy()
    name, *inside = rest
    if name not in (range(len(entries)) if isinstance(entries, list) else entries):
        return data
    if isinstance(entries[name], dict) and inside and not whole:
        entries[name] = {key: value for key, value in entries[name].items() if key != inside[0]}
    elif inside or entries[name] != _EMPTY[section]:
        entries[name] = _EMPTY[section]
    else:
        del entries[name]
    return {**data, section: entries}


def _message(item: Any, path: KeyPath) -> str:
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"unknown key{hint(str(path[-1]), _keys_at(path[:-1]))}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind == "literal_error":
        return f"this must be one of {item['ctx']['expected']}"
    return _MESSAGES.get(kind, str(item["msg"]))


def _keys_at(path: KeyPath) -> list[str]:
    models: dict[str, type[BaseModel]] = {"credentials": Credential, "routes": Route, "providers": Provider}
    model = models.get(str(path[0]), ConfigFile) if path else ConfigFile
    return list(model.model_fields)
