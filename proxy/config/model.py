"""What a person may write in config.yaml: one pydantic model a mapping, and so its JSON Schema.

What a value looks like is told in `fields.py`; what ties keys together is `resolve.py`'s.
Names follow RFC 6749 for OAuth, and nginx's directives for time-outs, buffers and addresses.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..secret import Secret
from .address import Address
from .fields import (
    NULLABLE_TEXT_OR_LIST,
    Addresses,
    AdminAddresses,
    Certificates,
    Count,
    Duration,
    FileMode,
    Hostname,
    Hostnames,
    Keys,
    Methods,
    Name,
    OrgKey,
    OrgsPath,
    Origins,
    Paths,
    Prefix,
    RedirectUri,
    Scopes,
    SecretText,
    Size,
    StoreKeys,
    Switch,
    Text,
    Texts,
    UpstreamUrl,
    Url,
    VerifyClient,
)

INTERACTIVE = ("authorization_code", "implicit")  # grants for which a person signs in in a browser


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
    allow_origins: Origins = Field((), description="origins whose pages may call this route (CORS), exactly")


class Client(_Model):
    """A caller that proves who it is, by a key or by a TLS client certificate."""

    key: Keys = Field((), description="as it is, or sha256: and its hash; a list, so that keys can be replaced")
    certificate: Certificates = Field(
        (), description="a name in its certificate (subjectAltName, else CN), or sha256: and the fingerprint"
    )
    routes: Texts | None = Field(None, description="names of the routes that it may call; default: all")
    methods: Methods | None = Field(None, description="which methods it may use; default: all")


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
    hosts: Hostnames = Field((), description="further names that callers may use in Host")
    store: str = Field("sqlite:tokens.db", description="where tokens are kept, beside this file")
    store_key: StoreKeys = Field((), description="encrypts tokens at rest; of a list the first does, all decrypt")
    clients: dict[Name, Client] = Field(default_factory=dict)
    anonymous: Annotated[Any, NULLABLE_TEXT_OR_LIST] = Field(
        None, description="who may call without a key: loopback, none, any, or a list of networks"
    )
    set_real_ip_from: Annotated[Any, NULLABLE_TEXT_OR_LIST] = Field(
        None, description="networks, or unix:, of outer proxies that are believed about the caller's address"
    )
    real_ip_header: Literal["X-Forwarded-For", "X-Real-IP", "Forwarded"] = Field(
        "X-Forwarded-For", description="the field in which they tell it"
    )
    socket_mode: FileMode = Field(
        0o600, description="of unix sockets of the data plane", json_schema_extra={"default": "0600"}
    )
    socket_users: Texts | None = Field(
        None, description="who may call over them, by name or id; default: whom the mode lets in"
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
    ssl_client_certificate: str | None = Field(None, description="PEM file of the authorities of callers' certificates")
    ssl_verify_client: VerifyClient = Field(
        "optional", description="on: callers need a certificate; optional: what they have is looked at"
    )
    access_log: Switch = Field(default=True, description="on or off: a log line for each request")
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
