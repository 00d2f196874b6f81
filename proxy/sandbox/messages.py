"""One request and one answer, as plain values.

A `Call` is what a vendor looks at, an `Answer` is what it decides. Neither knows sockets, faults or the journal,
so a vendor is a function from one to the other. Both may hold tokens: their `repr` never shows a target, a header
or a body.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target, origin-form or absolute-form, both undecoded."""
    if not target.startswith("/"):
        parts = urlsplit(target)
        return parts.path or "/", parts.query
    path, _, query = target.partition("?")
    return path, query


@dataclass(frozen=True)
class Call:
    """A request as a vendor reads it. `body` is None when it was too long to keep; `now` is in epoch seconds."""

    method: str
    target: str = field(repr=False)
    headers: CIMultiDict[str] | CIMultiDictProxy[str] = field(repr=False)
    body: bytes | None = field(repr=False)
    now: float

    @property
    def path(self) -> str:
        return split_target(self.target)[0]

    @property
    def reads(self) -> bool:
        return self.method in {"GET", "HEAD"}

    @property
    def origin(self) -> str:
        """The origin the caller believes to talk to: links in the answers start with it."""
        return f"http://{self.headers.get('Host', '')}"

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(split_target(self.target)[1], keep_blank_values=True))

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a form body; empty for any other body."""
        if self.content_type != FORM or self.body is None:
            return {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @cached_property
    def json(self) -> dict[str, Any] | None:
        """The body as a JSON object, whatever its Content-Type says; None if it is none."""
        try:
            value = json.loads(self.body or b"")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    @property
    def authorization(self) -> tuple[str, str]:
        """Scheme in lower case and credentials. Two such headers count as one, joined, as WSGI and Rack join them."""
        scheme, _, rest = ",".join(self.headers.getall("Authorization", [])).strip().partition(" ")
        return scheme.lower(), rest.strip()

    @property
    def bearer(self) -> str | None:
        scheme, token = self.authorization
        return token if scheme == "bearer" and token else None

    @property
    def basic(self) -> tuple[str, str] | None:
        """User and password of Basic credentials (RFC 7617)."""
        scheme, credentials = self.authorization
        if scheme != "basic":
            return None
        try:
            user, _, password = b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            return None
        return user, password


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor answers; Content-Type is one of the headers."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def plus(self, **headers: str) -> Answer:
        """The same answer with more headers; `_` in a keyword stands for `-`."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


def text_answer(text: str, status: int = 200, *, content_type: str = "text/html; charset=utf-8") -> Answer:
    return Answer(status, text.encode(), {"Content-Type": content_type})


def json_answer(payload: object, status: int = 200) -> Answer:
    return text_answer(json.dumps(payload), status, content_type=JSON)


def error_answer(error: str, description: str | None = None, status: int = 400) -> Answer:
    """An OAuth error body (RFC 6749 section 5.2)."""
    fields = {"error": error} if description is None else {"error": error, "error_description": description}
    return json_answer(fields, status)
