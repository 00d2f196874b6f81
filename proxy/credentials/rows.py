"""How a record stands in the store's table. Pure: values in, values out.

A row has its tokens in their own columns, or sealed in one column with the identifier of the key beside it; never in
both, so that nothing that is sealed can be taken for a token.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..config import org_key
from ..secret import Secret
from .cipher import Cipher, Pair
from .record import Origin, Record, Trouble, TroubleKind

_TOKENS = ("access_token", "refresh_token")
_TROUBLE = tuple(field.name for field in fields(Trouble))
_PLAIN = tuple(field.name for field in fields(Record) if field.name != "trouble")
_COLUMNS = (*_PLAIN, *(f"trouble_{name}" for name in _TROUBLE), "sealed", "sealed_by")

READ = f"SELECT {', '.join(_COLUMNS)} FROM credential"  # noqa: S608 - our own column names
WRITE = (
    f"INSERT INTO credential ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - ours
    f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in _COLUMNS[1:])}"
)
RECAST = "UPDATE credential SET access_token = ?, refresh_token = ?, sealed = ?, sealed_by = ? WHERE name = ?"

Row = tuple[Any, ...]


def name_of(row: Row) -> str:
    """Tell whose row it is."""
    return str(row[_COLUMNS.index("name")])


def sealed_by(row: Row) -> str | None:
    """Give the identifier of the key that a row is sealed under, None where it is not."""
    found = row[_COLUMNS.index("sealed_by")]
    return None if found is None else str(found)


def marked(row: Row) -> bool:
    """Tell whether an exchange of a row's tokens has begun (T5)."""
    return row[_COLUMNS.index("marked_at")] is not None


def tokens_in(row: Row, cipher: Cipher) -> Pair:
    """Give the tokens of a row. Raises `ValueError` where they are sealed and cannot be opened."""
    values = dict(zip(_COLUMNS, row, strict=True))
    if values["sealed_by"] is None:
        return values["access_token"], values["refresh_token"]
    return cipher.open(values["sealed_by"], values["name"], values["generation"], values["sealed"] or "")


def recast(row: Row, cipher: Cipher, target: Cipher) -> tuple[Any, ...]:
    """Give the values of `RECAST` that seal a row's tokens by `target`, or leave them as they are without keys."""
    values = dict(zip(_COLUMNS, row, strict=True))
    return *_kept(values["name"], values["generation"], tokens_in(row, cipher), target), values["name"]


def as_row(record: Record, cipher: Cipher) -> Row:
    """Give the values of `WRITE`."""
    values = {name: getattr(record, name) for name in _PLAIN}
    values |= {f"trouble_{name}": getattr(record.trouble, name, None) for name in _TROUBLE}
    tokens = tuple(None if token is None else token.reveal() for token in (record.access_token, record.refresh_token))
    kept = _kept(record.name, record.generation, (tokens[0], tokens[1]), cipher)
    values |= zip((*_TOKENS, "sealed", "sealed_by"), kept, strict=True)
    return tuple(values[column] for column in _COLUMNS)


def as_record(row: Row, cipher: Cipher) -> Record:
    """Read a row. Raises `ValueError` or `TypeError` where it makes no sense."""
    values = dict(zip(_COLUMNS, row, strict=True))
    trouble = None
    if values["trouble_kind"] is not None:
        told = {name: values[f"trouble_{name}"] for name in _TROUBLE}
        trouble = Trouble(**{**told, "kind": TroubleKind(told["kind"])})
    plain = {name: values[name] for name in _PLAIN}
    for name, token in zip(_TOKENS, tokens_in(row, cipher), strict=True):
        plain[name] = None if token is None else Secret(token)
    plain["rejected"] = bool(plain["rejected"])
    plain["origin"] = None if plain["origin"] is None else Origin(plain["origin"])
    if not org_key(plain["org_pk"]):
        plain["org_pk"] = ""  # what else stands there is none: it would go into addresses as it is
    return Record(**plain, trouble=trouble)


def _kept(name: str, generation: int, tokens: Pair, cipher: Cipher) -> tuple[str | None, ...]:
    """Give both tokens' columns, what is sealed, and under which key."""
    if not cipher:
        return *tokens, None, None
    return None, None, cipher.seal(name, generation, tokens), cipher.key_id
