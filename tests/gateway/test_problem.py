"""Our own errors as responses: what a person, a vendor's client and a machine each read in them."""

import json

import pytest

from proxy.errors import (
    BadTargetError,
    CallerNotAdmittedError,
    ForbiddenPathError,
    LoginRequiredError,
    MethodNotAllowedError,
    MethodNotImplementedError,
    NoRouteError,
    NotConfiguredError,
    OrganizationAmbiguousError,
    OrganizationMissingError,
    OrganizationRefusedError,
    RenewalDelayedError,
    RenewalGuardedError,
    RequestError,
    ShuttingDownError,
    UpstreamDnsError,
    UpstreamReadTimeoutError,
)
from proxy.gateway.problem import problem

ERRORS = [
    RequestError(),
    BadTargetError("malformed"),
    ForbiddenPathError("no"),
    CallerNotAdmittedError("no"),
    NoRouteError("none"),
    MethodNotAllowedError("no", ["PUT", "GET"]),
    MethodNotImplementedError("no"),
    ShuttingDownError("stopping"),
    NotConfiguredError("acme", ["client_id"]),
    LoginRequiredError("acme", "nobody has signed in yet", "do this"),
    RenewalGuardedError("acme", "too young"),
    RenewalDelayedError("acme", "failed", 4.2),
    OrganizationAmbiguousError("acme", ["Sample Goods (7kQ2f)", "9~x.B"], 3),
    OrganizationMissingError("acme", "none"),
    OrganizationRefusedError("no"),
    UpstreamDnsError("no address"),
    UpstreamReadTimeoutError("too slow"),
]


async def answered(error):
    """Give the status, the fields by name, and the fields of the body."""
    response = problem(error)
    assert response.body.ended
    body = response.body.at_hand()
    assert len(body) == response.length
    assert b"" == await response.body.read()
    headers = dict(response.headers)
    assert len(headers) == len(response.headers)
    assert str(len(body)) == headers["Content-Length"]
    response.close()
    return response.status, headers, json.loads(body)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_every_error(error):
    """It is problem+json that holds the vendors' names for the same things, and is never stored."""
    status, headers, body = await answered(error)
    assert (error.status, error.status) == (status, body["status"])
    assert ("application/problem+json", "no-store") == (headers["Content-Type"], headers["Cache-Control"])
    assert ("about:blank", error.description) == (body["type"], body["detail"])
    assert (error.error, error.description) == (body["error"], body["error_description"])
    assert body["details"].startswith(f"{error.side} failed")
    assert headers["Proxy-Status"].startswith(f"bearer-proxy; error={error.proxy_error}; details=")


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ((502, "Bad Gateway", "upstream failed"), UpstreamDnsError("x")),
        ((504, "Gateway Timeout", "upstream failed"), UpstreamReadTimeoutError("x")),
        ((400, "Bad Request", "caller failed"), BadTargetError("x")),
        ((501, "Not Implemented", "caller failed"), MethodNotImplementedError("x")),
        ((500, "Internal Server Error", "proxy failed"), RequestError()),
        (
            (503, "Service Unavailable", "proxy failed; set what is missing in config.yaml"),
            NotConfiguredError("a", ["b"]),
        ),
        (
            (503, "Service Unavailable", "proxy failed; do this"),
            LoginRequiredError("acme", "x", "do this"),
        ),
        (
            (503, "Service Unavailable", "token endpoint failed; try again after Retry-After"),
            RenewalDelayedError("a", "x", 1.0),
        ),
        (
            (503, "Service Unavailable", "proxy failed; choose one of the organizations"),
            OrganizationAmbiguousError("a", ["b", "c"], 0),
        ),
    ],
)
async def test_which_side_failed(expected, error):
    """It is said, with what to do next where a person can do something."""
    status, _, body = await answered(error)
    assert expected == (status, body["title"], body["details"])


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (None, BadTargetError("x")),
        (None, LoginRequiredError("a", "x", "do this")),
        ("1", ShuttingDownError("x")),
        ("1", RenewalDelayedError("a", "x", 0.0)),
        ("5", RenewalDelayedError("a", "x", 4.2)),
        ("600", RenewalDelayedError("a", "x", 599.1)),
    ],
)
async def test_retry_after(expected, error):
    """It is whole seconds, rounded up, where trying again is of use."""
    assert expected == (await answered(error))[1].get("Retry-After")


async def test_allow():
    """A refused method is answered with those that pass."""
    assert "GET, PUT" == (await answered(MethodNotAllowedError("x", ["PUT", "GET"])))[1]["Allow"]


@pytest.mark.parametrize(
    ("expected", "error"), [("acme", LoginRequiredError("acme", "x", "do this")), (None, NoRouteError("x"))]
)
async def test_credential(expected, error):
    """It is named where there is one."""
    assert expected == (await answered(error))[2].get("credential")


async def test_login_required():
    """The details in Proxy-Status begin so (T6)."""
    _, headers, _ = await answered(LoginRequiredError("acme", "nobody has signed in yet", "do this"))
    assert 'details="login required for acme: nobody has signed in yet; do this"' in headers["Proxy-Status"]


async def test_text_that_is_not_plain():
    """A description with quotes or letters beyond ASCII cannot break out of the field or the body."""
    _, headers, body = await answered(NoRouteError('no route "\u00e9"\\'))
    assert headers["Proxy-Status"].endswith(r'details="no route \"?\"\\"')
    assert 'no route "\u00e9"\\' == body["detail"]
