"""Errors that are answered to a caller: the caller's, the proxy's, the credential's and the upstream's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from .commands import BearerProxyError

Side = Literal["caller", "proxy", "token endpoint", "upstream"]


class RequestError(BearerProxyError):
    """Answered to the caller as problem+json. `error` is the machine's word, the text is the person's."""

    status: ClassVar[int] = 500
    error: ClassVar[str] = "internal_error"
    proxy_error: ClassVar[str] = "proxy_internal_error"
    side: ClassVar[Side] = "proxy"
    retry_after: int | None = None

    def __init__(self, description: str = "the proxy failed; its log says more") -> None:
        self.description = description
        super().__init__(description)


class CallerError(RequestError):
    """The caller's request cannot be forwarded."""

    status = 400
    error = "invalid_request"
    proxy_error = "http_request_error"
    side = "caller"


class BadTargetError(CallerError):
    """The request target is malformed or would leave its route (D3)."""


class ForbiddenPathError(CallerError):
    """The path is one of the vendor's OAuth endpoints (D3)."""

    status = 403
    error = "forbidden_path"
    proxy_error = "http_request_denied"


class CallerNotAdmittedError(CallerError):
    """The caller's address is not one that `anonymous` admits."""

    status = 403
    error = "access_denied"
    proxy_error = "http_request_denied"


class KeyRequiredError(CallerNotAdmittedError):
    """The caller has no valid key, and is not admitted without one. Says the same whatever was given."""

    status = 401
    error = "key_required"


class TooManyAttemptsError(CallerNotAdmittedError):
    """Too many wrong keys came from the caller's address: none is looked at for a while."""

    status = 429
    error = "too_many_attempts"

    def __init__(self, retry_after: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        super().__init__("too many wrong keys came from this address: try again after Retry-After")


class ClientNotAllowedError(CallerNotAdmittedError):
    """The client may not call this route, or not with this method."""


class HostNotAllowedError(CallerNotAdmittedError):
    """The caller, who has no key, calls us by a name that is not ours: that may be DNS rebinding."""

    error = "host_not_allowed"


class ForeignOriginError(CallerNotAdmittedError):
    """A page of another origin asks."""

    error = "foreign_origin"


class NoRouteError(CallerError):
    """No route matches."""

    status = 404
    error = "no_route"
    proxy_error = "destination_not_found"


class MethodNotAllowedError(CallerError):
    """The route does not pass this method. `allow` is for the Allow field."""

    status = 405
    error = "method_not_allowed"
    proxy_error = "http_request_denied"

    def __init__(self, description: str, allow: Sequence[str]) -> None:
        self.allow = tuple(sorted(allow))
        super().__init__(description)


class RequestTimeoutError(CallerError):
    """The caller began a request and did not go on."""

    status = 408
    error = "request_timeout"


class ContentTooLargeError(CallerError):
    """The request's body is longer than the configuration lets it be."""

    status = 413
    error = "content_too_large"


class HeadTooLargeError(CallerError):
    """The request's head is longer than the configuration lets it be."""

    status = 431
    error = "header_too_large"


class MethodNotImplementedError(CallerError):
    """A method that this proxy never forwards: CONNECT, TRACE."""

    status = 501
    error = "method_not_implemented"


class ShuttingDownError(RequestError):
    """The proxy is stopping."""

    status = 503
    error = "shutting_down"
    retry_after = 1


class ProxyLimitError(RequestError):
    """The upstream was not reached because the proxy itself is at a limit."""

    status = 503
    error = "proxy_limit_reached"
    proxy_error = "connection_limit_reached"
    retry_after = 1


class CredentialError(RequestError):
    """There is no token that the upstream would take. `credential` names whose."""

    status = 503
    error = "credential_unavailable"
    proxy_error = "proxy_configuration_error"

    def __init__(self, credential: str, description: str) -> None:
        self.credential = credential
        super().__init__(description)


class NotConfiguredError(CredentialError):
    """The configuration lacks something that this credential needs."""

    error = "not_configured"

    def __init__(self, credential: str, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(credential, f"{credential} is not configured: it lacks {', '.join(missing)}")


class LoginRequiredError(CredentialError):
    """Only a person can help: the text begins `login required`."""

    error = "login_required"

    def __init__(self, credential: str, reason: str, next_step: str) -> None:
        self.reason = reason
        self.next_step = next_step
        super().__init__(credential, f"login required for {credential}: {reason}; {next_step}")


class RenewalGuardedError(CredentialError):
    """The rejected token was renewed so recently that another renewal would not help (T8)."""

    error = "renewal_guarded"


class RenewalDelayedError(CredentialError):
    """A renewal failed in passing and waits until it is tried again (T5, T7)."""

    error = "renewal_delayed"
    proxy_error = "destination_unavailable"
    side = "token endpoint"

    def __init__(self, credential: str, description: str, retry_after: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        super().__init__(credential, description)


class OrganizationAmbiguousError(CredentialError):
    """The grant opens several organizations and nobody chose one. `organizations` are shown as `name (key)`."""

    error = "organization_ambiguous"

    def __init__(self, credential: str, organizations: Sequence[str], more: int) -> None:
        self.organizations = tuple(organizations)
        listed = ", ".join(organizations) + (f" and {more} more" if more else "")
        choice = f"write a key in place of @me or {{org_pk}}, or set org_pk of the credential {credential}"
        super().__init__(credential, f"{credential} has several organizations: {listed}; {choice}")


class OrganizationMissingError(CredentialError):
    """The grant opens no organization."""

    error = "organization_missing"


class UpstreamError(RequestError):
    """The upstream gave no answer that could be passed on."""

    status = 502
    error = "upstream_error"
    proxy_error = "destination_unavailable"
    side = "upstream"


class UpstreamDnsError(UpstreamError):
    """The upstream's name has no address."""

    proxy_error = "dns_error"


class UpstreamRefusedError(UpstreamError):
    """The upstream cannot be connected to."""

    proxy_error = "connection_refused"


class UpstreamTlsError(UpstreamError):
    """TLS with the upstream failed."""

    proxy_error = "tls_protocol_error"


class UpstreamCertificateError(UpstreamTlsError):
    """The upstream's certificate is not trusted."""

    proxy_error = "tls_certificate_error"


class UpstreamTerminatedError(UpstreamError):
    """The upstream closed the connection before its answer was complete."""

    proxy_error = "connection_terminated"


class UpstreamProtocolError(UpstreamError):
    """The upstream's answer is not HTTP that we understand."""

    proxy_error = "http_protocol_error"


class UpstreamConnectTimeoutError(UpstreamError):
    """Connecting to the upstream took too long."""

    status = 504
    error = "upstream_timeout"
    proxy_error = "connection_timeout"


class UpstreamSendTimeoutError(UpstreamError):
    """The upstream did not take the request's body in time."""

    status = 504
    error = "upstream_timeout"
    proxy_error = "connection_write_timeout"


class UpstreamReadTimeoutError(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    error = "upstream_timeout"
    proxy_error = "http_response_timeout"


class EgressProxyError(UpstreamError):
    """The forward proxy that the environment names cannot be used, or does not let us through to the upstream."""

    error = "egress_proxy_failed"
    proxy_error = "connection_refused"


class OrganizationRefusedError(UpstreamError):
    """The upstream does not tell which organizations there are, and so a request cannot be built."""

    error = "organization_unknown"
    proxy_error = "http_protocol_error"
