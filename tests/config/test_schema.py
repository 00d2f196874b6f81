"""The JSON Schema for editors: the keys that the model takes, in every form that `load` takes them in."""

import json
from typing import Any

import pytest
import yaml

from proxy.config import schema
from proxy.config.model import Client, ConfigFile, Credential, Provider, Route
from proxy.errors import ConfigError

CREDENTIAL = "credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}\n"
ROUTES = CREDENTIAL + "routes: [{prefix: /a, credential: a}]\n"
CLIENT = "key: long enough for a key"
STORE_KEY = "A" * 43 + "="
TYPES = {"string": str, "number": int | float, "array": list, "null": type(None), "boolean": bool, "object": dict}
DOCUMENT: Any = json.loads(json.dumps(schema()))


def fits(rule, value):
    """Tell whether a value is of the type that the schema says; of patterns and bounds nothing is looked at."""
    if "$ref" in rule:
        return fits(DOCUMENT["$defs"][rule["$ref"].rpartition("/")[2]], value)
    if "anyOf" in rule:
        return any(fits(one, value) for one in rule["anyOf"])
    kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    if not any(isinstance(value, TYPES[kind]) and isinstance(value, bool) is (kind == "boolean") for kind in kinds):
        return False
    if isinstance(value, list):
        return all(fits(rule["items"], item) for item in value)
    if isinstance(value, dict) and "properties" in rule:
        return all(key in rule["properties"] and fits(rule["properties"][key], item) for key, item in value.items())
    (named,) = rule["patternProperties"].values() if isinstance(value, dict) else [None]
    return not isinstance(value, dict) or all(fits(named, item) for item in value.values())


def test_schema():
    """The schema is JSON, and its properties are the keys that the model takes."""
    assert "https://json-schema.org/draft/2020-12/schema" == DOCUMENT["$schema"]
    assert list(ConfigFile.model_fields) == list(DOCUMENT["properties"])
    for model in (Client, Credential, Provider, Route):
        definition = DOCUMENT["$defs"][model.__name__]
        assert (list(model.model_fields), False) == (list(definition["properties"]), definition["additionalProperties"])


def test_mode_as_a_person_writes_it():
    """The default of socket_mode is shown in octal."""
    assert "0600" == DOCUMENT["properties"]["socket_mode"]["default"]


@pytest.mark.parametrize(
    "text",
    [
        "hosts: proxy",
        "hosts: [proxy, a.b]",
        "anonymous: any",
        "anonymous: [10.0.0.0/8]",
        "set_real_ip_from: 10.0.0.0/8",
        "set_real_ip_from: ['unix:', 10.0.0.0/8]",
        "real_ip_header: X-Real-IP",
        "socket_mode: 0600",
        "socket_mode: '0660'",
        "socket_users: root",
        "socket_users: 1001",
        "socket_users: [root, 1001]",
        f"store_key: {STORE_KEY}",
        f"store_key: [{STORE_KEY}, '']",
        "store_key: ''",
        "ssl_verify_client: off",
        "ssl_verify_client: optional",
        f"clients: {{erp: {{{CLIENT}}}}}",
        f"clients: {{erp: {{key: [one key of two keys, 'sha256:{'ab' * 32}']}}}}",
        "clients: {erp: {key: 12345678901234567890}}",
        "clients: {erp: {key: [12345678901234567890]}}",
        f"clients: {{erp: {{{CLIENT}, certificate: null, routes: null, methods: null}}}}",
        f"{ROUTES}clients: {{erp: {{{CLIENT}, routes: /a, methods: GET}}}}",
        f"{ROUTES}clients: {{erp: {{{CLIENT}, routes: [/a], methods: [GET]}}}}",
        ROUTES.replace("a}]", "a, allow_origins: https://app.example}]"),
        ROUTES.replace("a}]", "a, allow_origins: [https://app.example]}]"),
    ],
)
def test_good_document(loaded, text):
    """What `load` takes fits the schema."""
    loaded(text)
    assert fits(DOCUMENT, yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "hosts: {a: 1}",
        "hosts: [[proxy]]",
        "anonymous: true",
        "set_real_ip_from: true",
        "socket_mode: true",
        "socket_mode: [0600]",
        "socket_users: true",
        "socket_users: [true]",
        "store_key: {a: 1}",
        "ssl_verify_client: [on]",
        "clients: [erp]",
        "clients: {erp: null}",
        "clients: {erp: {key: {a: 1}}}",
        "clients: {erp: {key: [[a]]}}",
        f"clients: {{erp: {{{CLIENT}, certificate: [[a]]}}}}",
        f"clients: {{erp: {{{CLIENT}, keys: a}}}}",
        f"{ROUTES}clients: {{erp: {{{CLIENT}, routes: {{a: 1}}}}}}",
        ROUTES.replace("a}]", "a, allow_origins: [[https://a]]}]"),
        ROUTES.replace("a}]", "a, allow_origins: [null]}]"),
    ],
)
def test_bad_document(loaded, text):
    """What has another type than the schema says is refused by `load` too."""
    assert not fits(DOCUMENT, yaml.safe_load(text))
    with pytest.raises(ConfigError):
        loaded(text)
