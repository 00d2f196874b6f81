"""Our own errors as responses: problem+json that vendors' clients can print too, with Proxy-Status. Pure."""

from __future__ import annotations

import json
from http import HTTPStatus

from ..errors import CredentialError, KeyRequiredError, LoginRequiredError, MethodNotAllowedError, RequestError
from .headers import proxy_status
from .message import Field, Response, Whole

_NEXT_STEPS = {
    "not_configured": "set what is missing in config.yaml",
    "renewal_delayed": "try again after Retry-After",
    "organization_ambiguous": "choose one of the organizations",
    "organization_missing": "sign in as a person who has an organization, or set org_pk",
    "organization_unknown": "set org_pk of the credential, or see that the vendor lists its organizations",
}
_CHALLENGES = (
    ("WWW-Authenticate", 'Basic realm="bearer-proxy", charset="UTF-8"'),
    ("WWW-Authenticate", 'Bearer realm="bearer-proxy"'),
)


def problem(error: RequestError) -> Response:
    """Build the response for `error`."""
    headers, body = describe(error)
    return Response(error.status, HTTPStatus(error.status).phrase, headers, Whole(body), len(body))


def describe(error: RequestError) -> tuple[list[Field], bytes]:
    """Give the fields and the body for `error`: RFC 9457, with `error`, `error_description` and `details` beside it."""
    phrase = HTTPStatus(error.status).phrase
    credential = error.credential if isinstance(error, CredentialError) else ""
    next_step = error.next_step if isinstance(error, LoginRequiredError) else _NEXT_STEPS.get(error.error, "")
    details = f"{error.side} failed" + (f"; {next_step}" if next_step else "")
    fields = {
        "type": "about:blank",
        "title": phrase,
        "status": error.status,
        "detail": error.description,
        "error": error.error,
        "error_description": error.description,
        "details": details,
    }
    if credential:
        fields["credential"] = credential
    body = json.dumps(fields).encode() + b"\n"
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        proxy_status(error.description, error=error.proxy_error),
    ]
    if error.retry_after is not None:
        headers.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, MethodNotAllowedError):
        headers.append(("Allow", ", ".join(error.allow)))
    if isinstance(error, KeyRequiredError):
        headers += _CHALLENGES
    return headers, body
