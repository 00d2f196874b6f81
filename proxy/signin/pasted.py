"""What a person pastes, and what a browser brings back, read as fields and as tokens. Pure.

Token JSON, form text, a redirect address with its query and fragment, a bare token, a bare code: told apart by what
they are. No message repeats any of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from ..credentials.answers import TOKENS, is_b64token, read_fields, read_lifetime, registered_error, tokens_in
from ..credentials.record import Tokens
from ..errors import TokenFormatError

Fields = Mapping[str, object]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\"]*[#?]")
_BARE_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"]*")  # nothing came back with it
_AS_IT_IS = frozenset({*TOKENS, "code", "state"})
_NO_CODE = frozenset({"access_token", "refresh_token", "code", "error", "state"})


def read_pasted(text: str) -> Tokens:
    """Read token JSON, form-encoded text, a redirect URL with its fragment or query, or a bare access token.

    Raises `TokenFormatError`, which does not repeat the text.
    """
    return usable_tokens(pasted_fields(text))


def pasted_fields(text: str, *, bare: str = "access_token") -> Fields:
    """Read what was pasted as fields; a text that is none of the forms we know is the field `bare`.

    Raises `TokenFormatError` where nothing was given, or an address cannot be read.
    """
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise TokenFormatError("nothing was given: paste token JSON, form text, or the address you were sent to")
    if _ADDRESS.match(text) or _BARE_ADDRESS.fullmatch(text):
        try:
            parts = urlsplit(text)
        except ValueError:
            raise TokenFormatError("this address cannot be read: copy it whole") from None
        return pairs(parts.query) | pairs(parts.fragment)
    if is_b64token(text) and text.rstrip("=") not in TOKENS:
        return {bare: text}
    fields = read_fields(text.encode("utf-8", "replace")) or {}
    if bare == "code" and not fields.keys() & _NO_CODE and text.isprintable() and not text.startswith(("{", "[", "<")):
        return {bare: text}
    return fields


def as_answer(access_token: str, refresh_token: str, lifetime: str) -> str:
    """Give what a person typed field by field as token JSON: one reader knows what a token may hold.

    Raises `TokenFormatError` where `lifetime` is neither empty nor a number of seconds.
    """
    if lifetime and read_lifetime(lifetime) is None:
        raise TokenFormatError("a lifetime is a number of seconds")
    return json.dumps({"access_token": access_token, "refresh_token": refresh_token, "expires_in": lifetime})


def usable_tokens(fields: Fields) -> Tokens:
    """Give the tokens among `fields`. Raises `TokenFormatError` where there is none that could be used."""
    if fields.get("error"):
        which = registered_error(fields, "it is not a registered one")
        raise TokenFormatError(f"this is an error, not a token: {which}")
    tokens = tokens_in(fields)
    if tokens.access_token is None and fields.get("access_token"):
        raise TokenFormatError("the access token has characters that no bearer token has (RFC 6750 section 2.1)")
    if tokens.access_token is None and tokens.refresh_token is None:
        if fields.get("code"):
            raise TokenFormatError("this is a code: only the sign-in that asked for it can use it, with login --paste")
        raise TokenFormatError("there is no access_token in it: paste the whole answer or the whole address")
    return tokens


def pairs(text: str) -> dict[str, str]:
    """Read the parameters of an address; a `+` in a token or a code is itself, though it should have been encoded."""
    as_they_are = parse_qsl(text.replace("+", "%2B"))
    return dict(parse_qsl(text)) | {key: value for key, value in as_they_are if key in _AS_IT_IS}
