"""config.yaml → `Config`: the file read, each value validated, presets merged, and what ties keys together checked.

Every problem is reported at once, at its line. Warnings do not fail. Only `load` does I/O, through `source.py`,
and `certificate.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from .certificate import check_authorities
from .model import Client, ConfigFile, Credential, Provider, Route
from .providers import hint
from .resolve import Resolver
from .source import KeyPath, Problem, Source, read_source
from .values import Config

__all__ = ["LISTEN_VARIABLE", "STORE_VARIABLE", "check_authorities", "load", "schema"]

LISTEN_VARIABLE = "BEARER_PROXY_LISTEN"
STORE_VARIABLE = "BEARER_PROXY_STORE"

_MODELS: dict[str, type[BaseModel]] = {
    "clients": Client,
    "credentials": Credential,
    "routes": Route,
    "providers": Provider,
}
_EMPTY: dict[str | int, dict[str, str]] = {
    "credentials": {"provider": ""},
    "routes": {"credential": ""},
    "providers": {},
    "clients": {},
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

_PROTECTING = ("admin_key", "store_key")


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


def schema() -> dict[str, Any]:
    """Give the JSON Schema of config.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ConfigFile.model_json_schema()}


def _validate(source: Source, environ: Mapping[str, str]) -> ConfigFile:
    """Check each value alone, report what is wrong, and give the model of all the rest."""
    if not isinstance(source.data, dict):
        source.report((), "a configuration is a mapping of keys to values")
        return ConfigFile()
    data = {key: value for key, value in source.data.items() if value is not None or not _absent(source, key)}
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


def _absent(source: Source, key: Any) -> bool:
    """Tell whether a key without a value is as good as absent: a section is, when all in it is commented out."""
    if key in _PROTECTING:
        source.report((key,), "there is no value, so nothing is protected by this key", warning=True)
    return key in ConfigFile.model_fields and key != "admin"  # which is null for none


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
        text, colon, _ = str(path[-1]).partition(":")
        meant = hint(text.partition(" ")[0], _keys_at(path[:-1]))
        return f"unknown key{meant}{', and a blank belongs after the colon' if colon else ''}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind == "literal_error":
        return f"this must be one of {item['ctx']['expected']}"
    return _MESSAGES.get(kind, str(item["msg"]))


def _keys_at(path: KeyPath) -> list[str]:
    model = _MODELS.get(str(path[0]), ConfigFile) if path else ConfigFile
    return list(model.model_fields)
