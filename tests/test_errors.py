"""One tree of errors: each with an exit code or a status, a type that RFC 9209 registers, and a text of our own."""

import inspect
import re

import pytest

from proxy import errors
from proxy.errors import (
    BearerProxyError,
    CallerError,
    ConfigError,
    CredentialError,
    LoginRequiredError,
    MethodNotAllowedError,
    NotConfiguredError,
    OrganizationAmbiguousError,
    RenewalDelayedError,
    RequestError,
    UpstreamError,
)
from proxy.secret import Secret

# RFC 9209, section 2.3: all that it registers, with the status that it recommends where that is one.
REGISTERED = {
    "dns_timeout": 504,
    "dns_error": 502,
    "destination_not_found": 500,
    "destination_unavailable": 503,
    "destination_ip_prohibited": 502,
    "destination_ip_unroutable": 502,
    "connection_refused": 502,
    "connection_terminated": 502,
    "connection_timeout": 504,
    "connection_read_timeout": 504,
    "connection_write_timeout": 504,
    "connection_limit_reached": 503,
    "tls_protocol_error": 502,
    "tls_certificate_error": 502,
    "tls_alert_received": 502,
    "http_request_error": 400,
    "http_request_denied": 403,
    "http_response_incomplete": 502,
    "http_response_header_section_size": 502,
    "http_response_header_size": 502,
    "http_response_body_size": 502,
    "http_response_trailer_section_size": 502,
    "http_response_trailer_size": 502,
    "http_response_transfer_coding": 502,
    "http_response_content_coding": 502,
    "http_response_timeout": 504,
    "http_upgrade_failed": 502,
    "http_protocol_error": 502,
    "proxy_internal_response": 200,
    "proxy_internal_error": 500,
    "proxy_configuration_error": 500,
    "proxy_loop_detected": 502,
}
# What an error is made of: nothing that a token, a query or another's words would come in.
ARGUMENTS = {
    "description": "what happened",
    "next_step": "do this",
    "credential": "readycloud",
    "missing": ("client_id", "token_url"),
    "reason": "the grant was refused",
    "retry_after": 1.5,
    "allow": ("POST", "GET"),
    "organizations": ("Sample Goods (7kQ2f)", "9~x.B"),
    "more": 3,
}


def tree(root):
    return [root, *(error for branch in root.__subclasses__() for error in tree(branch))]


def parameters(kind):
    return [] if kind.__init__ is Exception.__init__ else list(inspect.signature(kind).parameters)


def made(kind):
    return kind(*(ARGUMENTS[name] for name in parameters(kind)))


ALL = [error for error in tree(BearerProxyError) if error.__module__.startswith(f"{errors.__name__}.")]
REQUEST = [error for error in ALL if issubclass(error, RequestError)]


def test_every_exception_of_the_package():
    """Whatever the package defines to be raised stands in the tree, and is offered by its name."""
    defined = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert set(ALL) == set(defined)
    assert sorted(error.__name__ for error in ALL) == errors.__all__


@pytest.mark.parametrize("kind", ALL)
def test_error(kind):
    """An error ends a command with 1, or with 2 where the configuration is at fault, and says what it is."""
    assert (2 if issubclass(kind, ConfigError) else 1) == kind.exit_code
    assert kind.__doc__
    assert kind.__name__.endswith("Error")


@pytest.mark.parametrize("kind", REQUEST)
def test_request_error(kind):
    """What is answered to a caller has an error status, a registered type, a word of its own and a side."""
    error = made(kind)
    assert 400 <= error.status <= 599
    assert error.proxy_error in REGISTERED
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.error)
    assert error.side in ("caller", "proxy", "token endpoint", "upstream")
    assert error.retry_after is None or error.retry_after >= 1
    assert error.description == str(error)
    assert error.description


@pytest.mark.parametrize("kind", REQUEST)
def test_status_and_side(kind):
    """The caller's faults are 4xx but for a method that nobody implements; all others are 5xx."""
    assert (kind.status < 500 or kind.status == 501) == issubclass(kind, CallerError) == (kind.side == "caller")
    assert issubclass(kind, UpstreamError) == (kind.side == "upstream")
    assert (503 if issubclass(kind, CredentialError) else kind.status) == kind.status


@pytest.mark.parametrize(
    "kind", [kind for kind in REQUEST if issubclass(kind, UpstreamError) and kind is not UpstreamError]
)
def test_upstream_error(kind):
    """An upstream's failure has the status that RFC 9209 recommends for its type."""
    assert REGISTERED[kind.proxy_error] == kind.status


@pytest.mark.parametrize("kind", REQUEST)
def test_what_an_error_is_made_of(kind):
    """No error takes a token, a request or another error, so that none can show one."""
    assert [] == [name for name in parameters(kind) if name not in ARGUMENTS]
    held = {name: value for name, value in vars(made(kind)).items() if not isinstance(value, str | int | tuple)}
    assert {} == held


@pytest.mark.parametrize("kind", [kind for kind in REQUEST if "description" in parameters(kind)])
def test_secret_in_a_description(kind):
    """A secret that is written into a text by mistake does not show."""
    made_of = {**ARGUMENTS, "description": f"it was {Secret('CANARY')}"}
    error = kind(*(made_of[name] for name in parameters(kind)))
    assert "CANARY" not in f"{error}{error!r}{error.args}{vars(error)}"


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("the proxy failed; its log says more", RequestError()),
        ("rc is not configured: it lacks client_id, token_url", NotConfiguredError("rc", ["client_id", "token_url"])),
        (
            "login required for rc: the grant was refused; do this",
            LoginRequiredError("rc", "the grant was refused", "do this"),
        ),
        (
            (
                "rc has several organizations: One (1), 2 and 3 more; write a key in place of @me or {org_pk}, "
                "or set org_pk of the credential rc"
            ),
            OrganizationAmbiguousError("rc", ["One (1)", "2"], 3),
        ),
        ("f:1: a: wrong\nf:2: b: wrong", ConfigError(["f:1: a: wrong", "f:2: b: wrong"])),
    ],
)
def test_text(expected, error):
    """An error builds its own text."""
    assert expected == str(error)


def test_fields():
    """What a text was built of is there for the program too."""
    assert (("a", "b"), "rc") == (
        NotConfiguredError("rc", ["a", "b"]).missing,
        LoginRequiredError("rc", "x", "do this").credential,
    )
    assert ("GET", "POST") == MethodNotAllowedError("no", ["POST", "GET"]).allow
    assert ("one", "two") == ConfigError(["one", "two"]).problems


@pytest.mark.parametrize("delay", [-1.0, 0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 2.01, 2.5, 3.0, 3600.0])
def test_retry_after(delay):
    """A caller is told whole seconds, at least one, never fewer than are left and hardly more."""
    told = RenewalDelayedError("rc", "backing off", delay).retry_after
    assert isinstance(told, int)
    assert max(delay, 1) <= told <= max(delay, 0) + 1
    assert RenewalDelayedError.retry_after is None
