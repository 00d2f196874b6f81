"""What a person may write in config.yaml: one pydantic model a mapping, and so its JSON Schema.

Validators here look at one value; what ties keys together is `load.py`'s. No message repeats a value.
Names follow RFC 6749 for OAuth, and nginx's directives for time-outs and buffers.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from ..secret import Secret
from .address import Address, Upstream

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d{1,15})\s*([kmg]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_METHOD = re.compile(r"[A-Z][A-Z0-9_-]*")
_PREFIX = re.compile(r"/|(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
INTERACTIVE = ("authorization_code", "implicit")  # grants for which a person signs in in a browser
OOB = "urn:ietf:wg:oauth:2.0:oob"  # a redirect to nowhere: the code is shown to the person, who copies it
_URL_TEXT = re.compile(r"[\x21\x22\x24-\x7e]+")
_ORG = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2}){1,128}")
_NO_SEGMENT = re.compile(r"[/\\;\x00-\x1f\x7f]")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _duration(value: Any) -> float:
    match = _DURATION.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None:
        raise ValueError("a duration is a number of seconds, or one with a unit: 500ms, 20s, 5m, 1h, 1d")
    return float(match[1]) * _SECONDS[match[2]]


def _size(value: Any) -> int:
    match = _SIZE.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if match is None:
        raise ValueError("a size is a number of bytes, or one with a unit: 64k, 16m, 1g")
    return int(match[1]) * _BYTES[match[2].lower()]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal() or len(str(value)) > 9:
        raise ValueError("a count is a whole number")
    return int(value)


def _switch(value: Any) -> bool:
    switched = {"on": True, "true": True, "off": False, "false": False}.get(str(value).strip().lower())
    if switched is None:
        raise ValueError("this is on or off")
    return switched


def _secret(value: Any) -> Secret:
    value = _text(value)
    if not isinstance(value, str):
        raise ValueError("a secret is a text: put it in quotes")  # noqa: TRY004 - pydantic wants ValueError
    text = value.strip()
    if not text.isprintable():
        raise ValueError("a secret has no control characters and no line breaks")
    return Secret(text)


def _addresses(value: Any) -> tuple[Address, ...]:
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str) for item in items):
        raise ValueError("an address is written host:port or unix:/path, or a list of such")
    return tuple(Address.parse(item.strip()) for item in items)


def _admin(value: Any) -> tuple[Address, ...]:
    return () if value in (None, "") else _addresses(value)


def _text(value: Any) -> Any:
    """Take an empty value as an empty text; what is no text is pydantic's to refuse."""
    return "" if value is None else value


def _url(value: Any) -> str:
    text = _upstream(value.partition("?")[0] if isinstance(value, str) else value)
    if text and not _URL_TEXT.fullmatch(str(value).strip()):
        raise ValueError("a URL is plain ASCII without blanks, and has no # here")
    return text and str(value).strip()


def _upstream(value: Any) -> str:
    if not isinstance(_text(value), str):
        raise ValueError("a URL is a text")  # noqa: TRY004 - pydantic wants ValueError
    text = str(_text(value)).strip()
    if text:
        Upstream.parse(text)
    return text


def _redirect(value: Any) -> str:
    text = str(_text(value)).strip()
    if text in ("", OOB):
        return text
    if "#" in text:
        raise ValueError("a redirect URI has no # (RFC 6749 section 3.1.2)")
    return _url(text)


def org_key(text: str) -> bool:
    """Tell whether `text` can stand as one segment of a path, in the place of `{org_pk}`."""
    if not _ORG.fullmatch(text):
        return False
    meant = unquote_to_bytes(text).decode("latin-1")
    return meant.strip() not in ("", ".", "..") and not _NO_SEGMENT.search(meant)


def _org(value: Any) -> str:
    text = str(_text(value)).strip()
    if text and not org_key(text):
        raise ValueError("an Org ID is one segment of a path, without /")
    return text


def _orgs_path(value: Any) -> str:
    if not value:
        return ""
    return _prefix(value).rstrip("/") + "/"


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value.rstrip("/") or value):
        raise ValueError("a prefix is a path of whole segments, such as /readycloud, without %, ?, # or //")
    prefix = value.rstrip("/") or "/"
    if any(segment in (".", "..") for segment in prefix.split("/")):
        raise ValueError("a prefix has no . or .. segment")
    return prefix


def _hostname(value: Any) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ValueError("a host is a name without a port, such as readycloud.internal")
    return value.lower()


def _methods(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str) and _METHOD.fullmatch(item.upper()) for item in items):
        raise ValueError("methods is a list such as [GET, HEAD]")
    return tuple(dict.fromkeys(item.upper() for item in items))


def _scopes(value: Any) -> tuple[str, ...]:
    items = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(i, str) and (_SCOPE.fullmatch(i) or not i) for i in items):
        raise ValueError("scopes is a list of names, such as [order, company-read_only]")
    return tuple(item for item in items if item)


def _paths(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(_prefix(item) for item in items)


_TEXT_OR_NUMBER = WithJsonSchema({"type": ["string", "number"]})
_TEXT = WithJsonSchema({"type": "string"})
_TEXT_OR_LIST = WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}})
_NULLABLE_TEXT_OR_LIST = WithJsonSchema({"type": ["string", "array", "null"], "items": {"type": "string"}})

Duration = Annotated[float, BeforeValidator(_duration), _TEXT_OR_NUMBER]
Size = Annotated[int, BeforeValidator(_size), _TEXT_OR_NUMBER]
Count = Annotated[int, BeforeValidator(_count), _TEXT_OR_NUMBER]
Switch = Annotated[bool, BeforeValidator(_switch), WithJsonSchema({"type": ["string", "boolean"]})]
SecretText = Annotated[Secret, PlainValidator(_secret), WithJsonSchema({"type": ["string", "number", "null"]})]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number", "null"]})]
Url = Annotated[str, BeforeValidator(_url), _TEXT]
RedirectUri = Annotated[str, BeforeValidator(_redirect), _TEXT]
OrgKey = Annotated[str, BeforeValidator(_org), _TEXT_OR_NUMBER]
OrgsPath = Annotated[str, BeforeValidator(_orgs_path), _TEXT]
UpstreamUrl = Annotated[str, BeforeValidator(_upstream), _TEXT]
Addresses = Annotated[tuple[Address, ...], PlainValidator(_addresses), _TEXT_OR_LIST]
AdminAddresses = Annotated[tuple[Address, ...], PlainValidator(_admin), _NULLABLE_TEXT_OR_LIST]
Prefix = Annotated[str, BeforeValidator(_prefix), _TEXT]
Hostname = Annotated[str, BeforeValidator(_hostname), _TEXT]
Methods = Annotated[tuple[str, ...], PlainValidator(_methods), _TEXT_OR_LIST]
Scopes = Annotated[tuple[str, ...], PlainValidator(_scopes), _TEXT_OR_LIST]
Paths = Annotated[tuple[str, ...], PlainValidator(_paths), _TEXT_OR_LIST]
Name = Annotated[str, Field(pattern=NAME)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Provider(_Model):
    """How a vendor signs in, renews, is called, and says "rejected"."""

    extends: str | None = Field(None, description="a preset or another provider to start from")
    upstream: UpstreamUrl = Field("", description="the API's origin, with a base path where it has one")
    authorize_url: Url = ""
    token_url: Url = ""
    grant: Literal["authorization_code", "implicit", "client_credentials", "manual"] = "authorization_code"
    renew: Literal["refresh_token", "client_credentials", "none"] = "refresh_token"
    token_request: Literal["form", "json"] = "form"  # noqa: S105 - no secret
    client_auth: Literal["body", "basic", "none"] = "body"
    redirect_parameter: Literal["redirect_uri", "redirect_url", "none"] = Field(
        "redirect_uri", description="what the parameter with the redirect URI is called; none: it is not sent"
    )
    redirect_match: Literal["exact", "host"] = Field(
        "exact", description="what of a redirect URI must equal the registered one: all of it, or host and port"
    )
    scope_separator: Literal["space", "comma"] = "space"
    authorize_parameters: dict[str, str] = Field(
        default_factory=dict, description="further parameters for authorize_url, such as access_type: offline"
    )
    orgs_path: OrgsPath = Field("", description="where {org_pk} is found out, as ReadyCloud lists organizations")
    token_parameters: tuple[str, ...] = Field((), description="query parameters in which this vendor takes a token")
    jsonp_parameter: str = Field("", description="query parameter that wraps answers, errors as 200 among them")
    invalid_grant_descriptions: tuple[str, ...] = Field(
        (), description="how an error_description begins that means a dead refresh token"
    )
    oauth_paths: Paths = Field((), description="paths at the upstream that are never proxied, nor what is below them")
    map_links: bool = Field(False, description="absolute links to the upstream in JSON answers become local ones")
    insecure_http: bool = Field(False, description="allow http:// beyond loopback")


class Credential(_Model):
    """One named grant at a provider."""

    provider: str = Field(description="readycloud, readycloud-v1, cloud66, cloud66-v2, onecloud, or one of yours")
    client_id: Text = ""
    client_secret: SecretText = Field(default_factory=lambda: Secret(""))
    scopes: Scopes = Field((), description="what to ask for; what is granted is compared with it")
    redirect_uri: RedirectUri = Field(
        "", description="what is registered at the vendor; default: /callback on the control plane's loopback address"
    )
    org_pk: OrgKey = Field("", description="which organization {org_pk} and @me mean; default: the only one")


class Route(_Model):
    """Where local requests match, and where they go. At least one of prefix, host and listen."""

    name: str | None = None
    prefix: Prefix | None = None
    host: Hostname | None = None
    listen: Addresses | None = None
    credential: str
    upstream: UpstreamUrl | None = Field(None, description="at the provider's origin; default: the provider's")
    methods: Methods | None = Field(None, description="which methods pass; default: all")


class ConfigFile(_Model):
    """config.yaml, whole."""

    listen: Addresses = Field(
        default_factory=lambda: (Address("localhost", 8080),), description="the data plane; default: localhost:8080"
    )
    admin: AdminAddresses = Field(
        default_factory=lambda: (Address("localhost", 8081),),
        description="the control plane, null for none; default: localhost:8081",
    )
    admin_key: SecretText = Field(
        default_factory=lambda: Secret(""), description="opens the control plane; needed where admin is beyond loopback"
    )
    store: str = Field("sqlite:tokens.db", description="where tokens are kept, beside this file")
    anonymous: Annotated[Any, _NULLABLE_TEXT_OR_LIST] = Field(
        None, description="who may call without a key: loopback, any, or a list of networks"
    )
    credentials: dict[Name, Credential] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    providers: dict[Name, Provider] = Field(default_factory=dict)

    renewal_guard: Duration = Field(30.0, description="least age at which a renewed token that is rejected is renewed")
    exchange_timeout: Duration = Field(20.0, gt=0, description="for one call of a token endpoint, in all")
    login_timeout: Duration = Field(600.0, gt=0, description="for a person to sign in")
    proxy_connect_timeout: Duration = Field(10.0, gt=0, description="look-up, connection and TLS")
    proxy_send_timeout: Duration = Field(60.0, gt=0, description="between two writes of a body to the upstream")
    proxy_read_timeout: Duration = Field(60.0, gt=0, description="between two reads from the upstream")
    client_header_timeout: Duration = Field(60.0, gt=0, description="for a caller to send a whole request head")
    client_body_timeout: Duration = Field(60.0, gt=0, description="between two reads of a body from the caller")
    send_timeout: Duration = Field(60.0, gt=0, description="between two writes of an answer to the caller")
    keepalive_timeout: Duration = Field(75.0, ge=0, description="idle caller connections")
    tunnel_timeout: Duration = Field(3600.0, gt=0, description="a tunnel (WebSocket) through which nothing goes")
    lingering_timeout: Duration = Field(5.0, ge=0, description="for a caller that has closed its side, or still sends")
    upstream_keepalive_timeout: Duration = Field(60.0, ge=0, description="idle upstream connections")
    upstream_keepalive_time: Duration = Field(
        300.0, ge=0, description="age at which upstream connections are no longer used again, so that DNS is asked anew"
    )
    shutdown_timeout: Duration = Field(20.0, ge=0, description="for requests in flight when told to stop")
    client_body_buffer_size: Size = Field(64 << 10, description="request body kept in memory for replay")
    replay_limit: Size = Field(16 << 20, description="request body kept for replay at all; beyond memory on disk")
    spool_dir: str | None = Field(None, description="where request bodies are spooled; default: beside the store")
    spool_limit: Size = Field(1 << 30, description="for all spooled bodies together")
    client_max_body_size: Size = Field(0, description="of a request body; 0: any")
    max_request_headers: Size = Field(64 << 10, ge=1024, description="of a request's head, and of its trailers")
    max_response_headers: Size = Field(64 << 10, ge=1024, description="of an answer's head, and of its trailers")
    max_headers_count: Count = Field(100, ge=10, description="of fields of a head")
    worker_connections: Count = Field(16384, ge=1, description="caller connections at a time")
    max_connections: Count = Field(1024, ge=1, description="connections to one upstream at a time")
    max_pending_requests: Count = Field(1024, ge=0, description="requests that wait for a connection to one upstream")
    keepalive: Count = Field(128, ge=0, description="idle connections kept to one upstream")
    ca_file: str | None = Field(None, description="PEM file of further certificate authorities that upstreams may have")
    ssl_certificate: str | None = Field(None, description="PEM file for listeners marked ssl: certificate and chain")
    ssl_certificate_key: str | None = Field(None, description="PEM file of its key; default: in ssl_certificate too")
    access_log: Switch = Field(default=True, description="on or off: a log line for each request")
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
