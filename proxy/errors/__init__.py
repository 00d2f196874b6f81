"""Every error of ours, one tree. Each holds its fields, builds its own text, and maps to one status or exit code.

    BearerProxyError
      ConfigError            the configuration cannot be used          exit 2
      StoreError             the token store cannot be used            exit 1
        StoreBusyError       another process holds it                  exit 1
      ListenError            an address cannot be listened on          exit 1
      SpoolError             request bodies cannot be kept on disk     exit 1
      TokenFormatError       what was pasted holds no usable token     exit 1
      SignInError            a sign-in did not come to its end         exit 1
      RequestError           answered to a caller, with a status
        CallerError          the caller's request                      4xx, 501
        ShuttingDownError    the proxy is stopping                     503
        ProxyLimitError      the proxy is at a limit of its own        503
        CredentialError      no usable token                           503
          NotConfiguredError   the configuration lacks something
          LoginRequiredError   only a person can help
          RenewalGuardedError  renewed too recently to renew again
          RenewalDelayedError  renewal is backing off; Retry-After
          OrganizationAmbiguousError  several organizations, none chosen
          OrganizationMissingError    no organization
        UpstreamError        the upstream did not answer               502, 504
          EgressProxyError            the proxy on the way to it failed
          OrganizationRefusedError    it does not list its organizations

A text here never holds a token, a query value, or words of a library or a vendor.
Proxy-Status error types are RFC 9209's (section 2.3).
"""

from .commands import (
    BearerProxyError,
    ConfigError,
    ListenError,
    SignInError,
    SpoolError,
    StoreBusyError,
    StoreError,
    TokenFormatError,
)
from .requests import (
    BadTargetError,
    CallerError,
    CallerNotAdmittedError,
    ClientNotAllowedError,
    ContentTooLargeError,
    CredentialError,
    EgressProxyError,
    ForbiddenPathError,
    ForeignOriginError,
    HeadTooLargeError,
    HostNotAllowedError,
    KeyRequiredError,
    LoginRequiredError,
    MethodNotAllowedError,
    MethodNotImplementedError,
    NoRouteError,
    NotConfiguredError,
    OrganizationAmbiguousError,
    OrganizationMissingError,
    OrganizationRefusedError,
    ProxyLimitError,
    RenewalDelayedError,
    RenewalGuardedError,
    RequestError,
    RequestTimeoutError,
    ShuttingDownError,
    TooManyAttemptsError,
    UpstreamCertificateError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReadTimeoutError,
    UpstreamRefusedError,
    UpstreamSendTimeoutError,
    UpstreamTerminatedError,
    UpstreamTlsError,
)

__all__ = [
    "BadTargetError",
    "BearerProxyError",
    "CallerError",
    "CallerNotAdmittedError",
    "ClientNotAllowedError",
    "ConfigError",
    "ContentTooLargeError",
    "CredentialError",
    "EgressProxyError",
    "ForbiddenPathError",
    "ForeignOriginError",
    "HeadTooLargeError",
    "HostNotAllowedError",
    "KeyRequiredError",
    "ListenError",
    "LoginRequiredError",
    "MethodNotAllowedError",
    "MethodNotImplementedError",
    "NoRouteError",
    "NotConfiguredError",
    "OrganizationAmbiguousError",
    "OrganizationMissingError",
    "OrganizationRefusedError",
    "ProxyLimitError",
    "RenewalDelayedError",
    "RenewalGuardedError",
    "RequestError",
    "RequestTimeoutError",
    "ShuttingDownError",
    "SignInError",
    "SpoolError",
    "StoreBusyError",
    "StoreError",
    "TokenFormatError",
    "TooManyAttemptsError",
    "UpstreamCertificateError",
    "UpstreamConnectTimeoutError",
    "UpstreamDnsError",
    "UpstreamError",
    "UpstreamProtocolError",
    "UpstreamReadTimeoutError",
    "UpstreamRefusedError",
    "UpstreamSendTimeoutError",
    "UpstreamTerminatedError",
    "UpstreamTlsError",
]
