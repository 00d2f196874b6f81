"""The file as a whole: every problem at once, none twice, none that shows a value, and nothing but `ConfigError`."""

from pathlib import Path

import pytest

from proxy.config import Limits, load
from proxy.errors import ConfigError

CREDENTIAL = "credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}\n"
SYNTAX = "an address is written host:port, [v6]:port, *:port or unix:/path"
BEYOND = (
    "this listens beyond loopback, so that others call in your name: say who may, with clients that have keys, "
    "or with anonymous: any or a list of networks; or listen on localhost"
)


def test_problems_of_every_stage(lines):
    """A bad variable, an unknown key, a bad route and a clash are told in one run, by line; a warning among them."""
    text = """\
        listne: localhost:8080
        log_level: ${LEVEL}
        credentials:
          a: {provider: readycloud, client_id: x, client_secret: y}
          b: {provider: cloud66}
        routes:
          - {prefix: nope, credential: a}
          - {prefix: /a, credential: a}
          - {prefix: /a, name: other, credential: a}
          - {prefix: /c, credential: c}
          - {prefix: /d, credential: a, upstream: https://evil.example}
        hosts: ["*"]
        store: {a: 1}
        store: postgresql://db
        providers: {p: {extends: p}}
        """
    expected = [
        "1: listne: unknown key (did you mean 'listen'?)",
        "2: log_level: the environment variable LEVEL is not set: set it, or write ${LEVEL:-}",
        "5: credentials.b: warning: not configured: it lacks client_id, client_secret; its routes answer 503",
        "7: routes.0.prefix: a prefix is a path of whole segments, such as /readycloud, without %, ?, # or //",
        "9: routes.2: matches the very same requests as another route",
        "10: routes.3.credential: there is no such credential",
        "11: routes.4.upstream: this is another origin than the provider's: tokens go to the provider only",
        "12: hosts: a host is a name without a port, such as readycloud.internal",
        "14: store: this key stands here twice",
        "15: providers.p.extends: extends runs in a circle",
    ]
    assert [f"config.yaml:{line}" for line in expected] == lines(text)


def test_order(lines):
    """Problems come in the order of the lines, whichever stage found them."""
    text = "foo: 1\nlisten: 0.0.0.0:80\nstore: ${UNSET}\nlog_level: loud"
    assert ["1", "2", "3", "4"] == [line.split(":")[1] for line in lines(text)]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("1: foo: unknown key", "foo: 1"),
        ("1: foo: unknown key", "foo:"),
        ("1: …: unknown key", "'[key]': 1"),
        ("1: …: unknown key", f"{'k' * 41}: 1"),
        (f"1: {'k' * 40}: unknown key", f"{'k' * 40}: 1"),
        ("1: …: unknown key (did you mean 'log_level'?)", "Log_Level: info"),
        ("1: credentials.a.…: unknown key (did you mean 'client_id'?)",
         "credentials: {a: {provider: onecloud, client_id CANARY}}"),
        ("1: credentials.A-1.…: unknown key (did you mean 'client_id'?), and a blank belongs after the colon",
         "credentials: {A-1: {provider: onecloud, client_id:CANARY}}"),
        ("1: clients.erp.…: unknown key (did you mean 'key'?)", "clients: {erp: {key 0123456789abcdef0123}}"),
        ("1: clients.erp.…: unknown key", "clients: {erp: {key, 0123456789abcdef0123456789abcdef}}"),
        ("1: a configuration is a mapping of keys to values", "- listen: localhost:8080"),
        ("1: a configuration is a mapping of keys to values", "listen"),
        ("1: log_level: this must be one of 'debug', 'info', 'warning' or 'error'", "log_level: CANARY"),
        ("1: log_format: this must be one of 'text' or 'json'", "log_format: [CANARY]"),
        ("1: store: this must be a text: put it in quotes", "store: {a: CANARY}"),
        ("1: credentials: this must be a mapping of keys to values", "credentials: [CANARY]"),
        ("1: credentials.a: this must be a mapping of keys to values", "credentials: {a: CANARY}"),
        ("1: credentials.a.zzz: unknown key", "credentials: {a: {provider: onecloud, zzz: CANARY}}"),
        ("1: credentials.a.clientid: unknown key (did you mean 'client_id'?)",
         "credentials: {a: {provider: onecloud, clientid: CANARY}}"),
        ("1: credentials.a…: a name has letters, digits, dots, dashes and underscores, 64 at most",
         "credentials: {a b: {provider: onecloud}}"),
        ("1: routes: this must be a list", "routes: {prefix: /a}"),
        ("1: routes.0: this must be a mapping of keys to values", "routes: [CANARY]"),
        ("2: routes.0.prefx: unknown key (did you mean 'prefix'?)",
         CREDENTIAL + "routes: [{prefx: /a, credential: a}]"),
        ("2: routes.0.…: unknown key", CREDENTIAL + "routes: [{'[key]': 1, prefix: /a, credential: a}]"),
        ("1: providers.p.extend: unknown key (did you mean 'extends'?)", "providers: {p: {extend: readycloud}}"),
        ("1: providers.p.insecure_http: this must be true or false", "providers: {p: {insecure_http: CANARY}}"),
        ("1: providers.p.token_parameters: this must be a list", "providers: {p: {token_parameters: CANARY}}"),
        ("1: exchange_timeout: Input should be greater than 0", "exchange_timeout: 0"),
        ("1: login_timeout: Input should be greater than 0", "login_timeout: 0"),
        ("1: admin_key: a secret is a text: put it in quotes", "admin_key: [CANARY]"),
        ("1: admin_key: a secret has no control characters and no line breaks", 'admin_key: "CANARY\\nCANARY"'),
        ("1: providers.p.redirect_parameter: this must be one of 'redirect_uri', 'redirect_url' or 'none'",
         "providers: {p: {redirect_parameter: CANARY}}"),
        ("1: providers.p.redirect_match: this must be one of 'exact' or 'host'",
         "providers: {p: {redirect_match: CANARY}}"),
        ("1: providers.p.scope_separator: this must be one of 'space' or 'comma'",
         "providers: {p: {scope_separator: CANARY}}"),
        ("1: providers.p.authorize_parameters: this must be a mapping of keys to values",
         "providers: {p: {authorize_parameters: CANARY}}"),
        ("1: providers.p.authorize_parameters.a: this must be a text: put it in quotes",
         "providers: {p: {authorize_parameters: {a: [CANARY]}}}"),
        ("1: clients.erp: this must be a mapping of keys to values", "clients: {erp: CANARY}"),
        ("1: clients: this must be a mapping of keys to values", "clients: [CANARY]"),
        ("1: clients.erp.keys: unknown key (did you mean 'key'?)", "clients: {erp: {keys: CANARY}}"),
        ("1: clients.a…: a name has letters, digits, dots, dashes and underscores, 64 at most",
         "clients: {a b: {key: CANARY}}"),
        ("1: real_ip_header: this must be one of 'X-Forwarded-For', 'X-Real-IP' or 'Forwarded'",
         "real_ip_header: CANARY"),
        ("1: ssl_verify_client: this must be one of 'optional', 'on' or 'off'", "ssl_verify_client: CANARY"),
        ("1: credentials.a.org_pk: an Org ID is one segment of a path, without /",
         "credentials: {a: {provider: onecloud, client_id: x, org_pk: CAN/ARY}}"),
    ],
)  # fmt: skip
def test_problem_of_one_value(lines, expected, text):
    """Each value is checked alone, and told at its own line and key."""
    assert [f"config.yaml:{expected}"] == lines(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["anonymous"], "anonymous: ${UNSET}\nlisten: 0.0.0.0:80"),
        (["credentials"], "credentials: 5\nroutes: [{prefix: /a, credential: a}]"),
        (["credentials.a…"], "credentials: {a b: {provider: onecloud}}\nroutes: [{prefix: /a, credential: a b}]"),
        (["credentials.a"], "credentials: {a: 5}\nroutes: [{prefix: /a, credential: a}]"),
        (["credentials.a.provider"], "credentials: {a: {provider: '${UNSET}'}}\nroutes: [{prefix: /a, credential: a}]"),
        (["routes.0.credential"], "routes: [{prefix: /a, credential: '${UNSET}'}]"),
        (["routes.0.prefix"], CREDENTIAL + "routes: [{prefix: '${UNSET}', credential: a}]"),
        (["credentials.a.client_id"], "credentials: {a: {provider: onecloud, client_id: '${UNSET}'}}"),
        (["clients.erp.key"], "clients: {erp: {key: '${UNSET}'}}"),
        (["clients"], "clients: 5\nanonymous: none"),
        (["clients"], "clients: 5\nlisten: 0.0.0.0:80"),
        (["clients.erp.key"], "clients: {erp: {key: [[x]]}}\nlisten: 0.0.0.0:80"),
        (["routes.0.credential"],
         "routes: [{prefix: /a, credential: b}]\nclients: {erp: {key: long enough for a key, routes: /a}}"),
        (["routes.0.prefix"],
         CREDENTIAL + "routes: [{prefix: a, credential: a}]\nclients: {erp: {key: long enough for a key, routes: /a}}"),
        (["ssl_client_certificate"], "ssl_client_certificate: '${UNSET}'\nclients: {erp: {certificate: a}}"),
        (["providers"], "providers: 5\n" + CREDENTIAL.replace("readycloud", "p")),
        (["providers.p"], "providers: {p: 5}\n" + CREDENTIAL.replace("readycloud", "p")),
        (["providers.p.extends"], "providers: {p: {extends: q}}\n" + CREDENTIAL.replace("readycloud", "p")),
        (["providers.p.token_url"],
         "providers: {p: {extends: readycloud, token_url: '${UNSET}'}}\n" + CREDENTIAL.replace("readycloud", "p")),
        (["providers.p.upstream"],
         "providers: {p: {upstream: x, renew: none}}\n" + CREDENTIAL.replace("readycloud", "p")),
    ],
)  # fmt: skip
def test_problem_that_others_follow_from(lines, expected, text):
    """What only follows from one problem is not told as another."""
    assert expected == [line.split(": ")[1] for line in lines(text)]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["localhost:9090", "unix:/a"], ""),
        (["localhost:9090", "unix:/a"], "listen: localhost:1"),
        (["localhost:9090", "unix:/a"], "listen: nonsense"),
    ],
)
def test_listen_variable(loaded, expected, text):
    """BEARER_PROXY_LISTEN stands in for `listen`, whatever the file says."""
    config = loaded(text, BEARER_PROXY_LISTEN="localhost:9090, unix:/a")
    assert expected == [str(address) for address in config.listen]


def test_empty_listen_variable(loaded):
    """Set to nothing it is as if it were not set."""
    assert ["localhost:1"] == [str(item) for item in loaded("listen: localhost:1", BEARER_PROXY_LISTEN="").listen]


@pytest.mark.parametrize(
    ("expected", "listen"),
    [
        (f"config.yaml:2: listen: BEARER_PROXY_LISTEN: {SYNTAX}", "CANARY"),
        (f"config.yaml:2: listen: BEARER_PROXY_LISTEN: {SYNTAX}", "localhost:1,"),
        (f"config.yaml:2: listen: BEARER_PROXY_LISTEN: {BEYOND}", "*:8080"),
    ],
)
def test_bad_listen_variable(lines, expected, listen):
    """What is wrong with the variable is told as the variable's fault; who may call is asked all the same."""
    assert [expected] == lines("\nlisten: localhost:1", BEARER_PROXY_LISTEN=listen)


def test_limits(loaded):
    """Every limit reaches the program under its own name, in seconds and bytes."""
    text = """\
        renewal_guard: 1m
        exchange_timeout: 2s
        login_timeout: 2m
        proxy_connect_timeout: 3
        proxy_send_timeout: 5
        proxy_read_timeout: 4
        keepalive_timeout: 0
        shutdown_timeout: 6
        client_body_buffer_size: 7k
        replay_limit: 8m
        spool_limit: 9g
        log_format: json
        log_level: debug
        """
    config = loaded(text)
    expected = Limits(
        renewal_guard=60.0,
        exchange_timeout=2.0,
        login_timeout=120.0,
        connect_timeout=3.0,
        send_timeout=5.0,
        read_timeout=4.0,
        keepalive_timeout=0.0,
        shutdown_timeout=6.0,
        body_buffer_size=7 << 10,
        replay_limit=8 << 20,
        spool_limit=9 << 30,
    )
    assert expected == config.limits
    assert ("json", "debug") == (config.log_format, config.log_level)
    assert Limits() == loaded("").limits


@pytest.mark.parametrize("value", ["0123", "12:30", "1_000", "0x1F", "1.10", "0o17", "1e3", "007", "+5"])
@pytest.mark.parametrize("key", ["client_id", "client_secret", "org_pk"])
def test_number_where_a_text_belongs(write, key, value):
    """A number is taken as it is written, or refused: never as what YAML 1.1 makes of it."""
    entry = {"client_id": "x", "client_secret": "x", key: value}
    text = ", ".join(f"{name}: {item}" for name, item in entry.items())
    try:
        credential = load(write(f"credentials: {{a: {{provider: readycloud, {text}}}}}"), {})[0].credentials["a"]
        taken = {
            "client_id": credential.client_id,
            "client_secret": credential.client_secret.reveal(),
            "org_pk": credential.org_pk,
        }[key]
    except ConfigError:
        taken = None
    assert taken in (value, None)


@pytest.mark.parametrize(
    "text",
    [
        "replay_limit: 0x" + "f" * 5000,
        "exchange_timeout: 0x" + "f" * 5000,
        '"\\ud800": 1',
        'credentials: {a: {provider: onecloud, client_id: "\\ud800"}}',
        'credentials: {"\\ud800": {provider: onecloud}}',
        '"a\\nb": 1',
        "? " + "k" * 1_000_000 + "\n: 1",
        "log_level: " + "x" * 1_000_000,
        "routes: [" + "5, " * 2000 + "]",
        "".join(f"key{number}: 1\n" for number in range(1000)),
        "store: " + "[" * 200 + "]" * 200,
    ],
    ids=range(11),
)
def test_hostile_file(write, text):
    """Whatever the size and the characters of a file, it ends in a `ConfigError` of single lines."""
    with pytest.raises(ConfigError) as caught:
        load(write(text), {})
    shown = [str(problem).encode().decode() for problem in caught.value.problems]
    assert [] == [line for line in shown if not line.startswith("config.yaml:") or "\n" in line]


def test_missing_file(tmp_path):
    """A configuration that is not there is a `ConfigError` as well, with exit code 2."""
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        load(Path(tmp_path / "config.yaml"), {})
    assert 2 == caught.value.exit_code
