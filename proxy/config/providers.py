"""The providers: presets as data, and what a configuration changes in them with `extends`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import TypeAdapter

from .model import Provider


@cache
def presets() -> dict[str, Provider]:
    """Give the providers we know, by name, from `presets.yaml`."""
    text = files(__package__).joinpath("presets.yaml").read_text(encoding="utf-8")
    entries = TypeAdapter(dict[str, Provider]).validate_python(yaml.safe_load(text))
    return {name: extended(name, entries, {}) for name in entries}


def extended(name: str, entries: Mapping[str, Provider], known: Mapping[str, Provider]) -> Provider:
    """Merge `name` over what it extends. A name that extends itself means the preset. Raises ValueError."""
    chain = [name]
    entry = entries[name]
    layers = [entry]
    while entry.extends:
        parent = entry.extends
        if parent in entries and parent not in chain:
            entry = entries[parent]
        elif parent in known and (parent not in entries or parent == chain[-1]):
            entry = known[parent]
        elif parent in chain:
            raise ValueError("extends runs in a circle")
        else:
            raise ValueError(f"there is no provider to extend{hint(parent, [*known, *entries])}")
        chain.append(parent)
        layers.append(entry)
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged |= {key: getattr(layer, key) for key in layer.model_fields_set if key != "extends"}
    return Provider.model_construct(_fields_set=set(merged), **merged)


def hint(word: str, known: list[str]) -> str:
    """Give ` (did you mean …?)` where a known word is close, else nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
