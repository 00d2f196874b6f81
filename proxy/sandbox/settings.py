"""What can be set: where the sandbox listens, and how each vendor behaves. Checked values only, no behaviour.

`SandboxSettings` is fixed for the life of a sandbox; `VendorSettings` can be patched while it runs. The client
identity is public on purpose: it opens nothing but this sandbox.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from .redirects import is_redirect

CLIENT_ID = "sandbox-app"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - opens nothing but this sandbox
CALLBACK = "http://127.0.0.1:8081/callback"
_PARAMETERS = ("either", "redirect_uri", "redirect_url")


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Ports (0: the system picks one), the lifetimes of access tokens in seconds (None: they do not expire), and the
    redirects that the app has registered ("": none).
    """

    host: str = "127.0.0.1"
    readycloud_port: int = 0
    cloud66_port: int = 0
    onecloud_port: int = 0
    control_port: int = 0
    readycloud_lifetime: float = 31_536_000.0
    onecloud_lifetime: float = 86_400.0
    cloud66_lifetime: float | None = None
    readycloud_redirect_uri: str = ""
    cloud66_redirect_uri: str = CALLBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorSettings:
    """How one vendor behaves.

    lifetime          seconds an access token lives from now on; None: for ever, and no `expires_in`
    refresh_tokens    whether refresh tokens are given out and exchanged
    rotates           whether an exchange brings a new refresh token; if not, the answer holds none
    quota_per_minute  API requests a minute; None: not limited, so that tests and benchmarks run freely
    scope             of grants made from now on by the control endpoint
    override          merged into every token answer, to try odd ones: {"expires_in": "3600"}
    """

    lifetime: float | None
    refresh_tokens: bool = True
    rotates: bool = True
    quota_per_minute: int | None = None
    scope: str = ""
    override: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings(VendorSettings):
    """As `VendorSettings`, of a vendor at which people sign in.

    redirect_uri  the redirect registered for the app; "": none is
    withholds     scopes that a sign-in does not grant, though it was asked for them
    """

    redirect_uri: str = ""
    withholds: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyCloudSettings(SignInSettings):
    """As `SignInSettings`; `orgs`: how many organizations the signed-in person belongs to."""

    scope: str = "order company"
    orgs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud66Settings(SignInSettings):
    """As `SignInSettings`.

    redirect_parameter  what the authorize page reads the redirect from: either, redirect_uri or redirect_url
    code_lifetime       seconds an authorization code lives from now on
    """

    redirect_uri: str = CALLBACK
    redirect_parameter: str = "either"
    code_lifetime: float = 600.0


S = TypeVar("S", bound=VendorSettings)


def patched(settings: S, changes: Mapping[str, Any]) -> S:
    """The settings with these changes; ValueError says which key is wrong and what it should be."""
    for key, value in changes.items():
        if key not in asdict(settings):
            raise ValueError(f"unknown setting {key!r}: one of {', '.join(asdict(settings))}")
        good, wanted = _CHECKS[key]
        if not good(value):
            raise ValueError(f"{key} must be {wanted}")
    return replace(settings, **changes)


def is_number(value: object) -> bool:
    """A finite number; `true` is none, though Python thinks so."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_span(value: Any) -> bool:
    return is_number(value) and value > 0


_BOOLEAN = (lambda value: isinstance(value, bool), "true or false")
_SCOPES = (lambda value: isinstance(value, str), "a string of scopes with spaces between")
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lifetime": (lambda value: value is None or _is_span(value), "a number of seconds above 0, or null"),
    "refresh_tokens": _BOOLEAN,
    "rotates": _BOOLEAN,
    "quota_per_minute": (lambda value: value is None or is_count(value), "a whole number above 0, or null"),
    "scope": _SCOPES,
    "withholds": _SCOPES,
    "override": (lambda value: isinstance(value, dict), "an object"),
    "orgs": (lambda value: is_count(value) and value <= 2, "1 or 2"),
    "redirect_uri": (
        lambda value: value == "" or (isinstance(value, str) and is_redirect(value)),
        'an http or https URL without userinfo and fragment, or ""',
    ),
    "redirect_parameter": (lambda value: value in _PARAMETERS, "either, redirect_uri or redirect_url"),
    "code_lifetime": (_is_span, "a number of seconds above 0"),
}
