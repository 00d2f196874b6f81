"""What the values of config.yaml look like: each a type that reads it, and says what is wrong in a sentence.

A reader looks at one value, and no message repeats it. Units are nginx's: `20s`, `64k`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from ..secret import Secret
from .address import Address, Upstream
from .proofs import certificate, key_hash, store_key

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d{1,15})\s*([kmg]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_METHOD = re.compile(r"[A-Z][A-Z0-9_-]*")
_PREFIX = re.compile(r"/|(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
OOB = "urn:ietf:wg:oauth:2.0:oob"  # a redirect to nowhere: the code is shown to the person, who copies it
_URL_TEXT = re.compile(r"[\x21\x22\x24-\x7e]+")
_ORG = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2}){1,128}")
_NO_SEGMENT = re.compile(r"[/\\;?#\x00-\x1f\x7f]")
SHORT_KEY = 16  # characters; a key of fewer can be guessed
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


@dataclass(frozen=True, slots=True)
class KeyHash:
    """A caller's key, of which only the SHA-256 is kept. `short`: the key was given as text, and can be guessed."""

    digest: bytes = field(repr=False)
    short: bool = field(default=False, compare=False)


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


def _listed(value: Any) -> list[Any]:
    """Take one value for a list of one, and nothing for none."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if item is not None and str(item).strip()]


def _keys(value: Any) -> tuple[KeyHash, ...]:
    return tuple(dict.fromkeys(_key(_secret(item).reveal()) for item in _listed(value)))


def _key(text: str) -> KeyHash:
    digest = key_hash(text)
    return KeyHash(digest or hashlib.sha256(text.encode()).digest(), short=not digest and len(text) < SHORT_KEY)


def _certificates(value: Any) -> tuple[str, ...]:
    items = _listed(value)
    if not all(isinstance(item, str) and item.strip().isprintable() for item in items):
        raise ValueError("a certificate is told by a name in it, or by sha256: and its fingerprint")
    return tuple(certificate(item.strip()) for item in items)


def _store_keys(value: Any) -> tuple[Secret, ...]:
    return tuple(store_key(_secret(item).reveal()) for item in _listed(value))


def _file_mode(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch("0?[0-7]{3}", text, re.ASCII):
        raise ValueError("a file mode is written in octal: 0600, 0660 or 0666")
    return int(text, 8)


def _hostnames(value: Any) -> tuple[str, ...]:
    return tuple(_hostname(item) for item in _listed(value))


def _origins(value: Any) -> tuple[str, ...]:
    wanted = "an origin is written https://app.example, exactly: no path, no *, and not null"
    if isinstance(value, list) and None in value:
        raise ValueError(wanted)
    texts = [str(item).strip().lower() for item in _listed(value)]
    try:
        found = [Upstream.parse(text) for text in texts]
    except ValueError:
        raise ValueError(wanted) from None
    if any(text not in (one.origin, f"{one.origin}:{one.port}") for text, one in zip(texts, found, strict=True)):
        raise ValueError(wanted)
    return tuple(one.origin for one in found)


def _texts(value: Any) -> tuple[str, ...]:
    items = _listed(value)
    if not all(isinstance(item, str) for item in items):
        raise ValueError("this is a name or a number, or a list of such; true, false, on and off are names in quotes")
    return tuple(item.strip() for item in items)


def _verify(value: Any) -> Any:
    text = str(value).strip().lower()
    return {"true": "on", "false": "off"}.get(text, text)


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
NULLABLE_TEXT_OR_LIST = WithJsonSchema({"type": ["string", "array", "null"], "items": {"type": "string"}})
_NAMES = WithJsonSchema({"type": ["string", "number", "array"], "items": {"type": ["string", "number"]}})
_KEYS = WithJsonSchema({"type": ["string", "number", "array", "null"], "items": {"type": ["string", "number"]}})

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
AdminAddresses = Annotated[tuple[Address, ...], PlainValidator(_admin), NULLABLE_TEXT_OR_LIST]
Prefix = Annotated[str, BeforeValidator(_prefix), _TEXT]
Hostname = Annotated[str, BeforeValidator(_hostname), _TEXT]
Hostnames = Annotated[tuple[str, ...], PlainValidator(_hostnames), _TEXT_OR_LIST]
Origins = Annotated[tuple[str, ...], PlainValidator(_origins), NULLABLE_TEXT_OR_LIST]
Keys = Annotated[tuple[KeyHash, ...], PlainValidator(_keys), _KEYS]
StoreKeys = Annotated[tuple[Secret, ...], PlainValidator(_store_keys), NULLABLE_TEXT_OR_LIST]
Certificates = Annotated[tuple[str, ...], PlainValidator(_certificates), NULLABLE_TEXT_OR_LIST]
Texts = Annotated[tuple[str, ...], PlainValidator(_texts), _NAMES]
FileMode = Annotated[int, BeforeValidator(_file_mode), _TEXT_OR_NUMBER]
VerifyClient = Annotated[
    Literal["optional", "on", "off"], BeforeValidator(_verify), WithJsonSchema({"type": ["string", "boolean"]})
]
Methods = Annotated[tuple[str, ...], PlainValidator(_methods), _TEXT_OR_LIST]
Scopes = Annotated[tuple[str, ...], PlainValidator(_scopes), _TEXT_OR_LIST]
Paths = Annotated[tuple[str, ...], PlainValidator(_paths), _TEXT_OR_LIST]
Name = Annotated[str, Field(pattern=NAME)]
