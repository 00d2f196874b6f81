"""YAML text → plain data, with the line of every key, and `${…}` expanded.

Knows YAML and the environment; of the keys, only where a person chooses them. It never stops at the first problem,
and no message repeats a value: a value may be a secret that stands in the wrong place.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<body>[^{}]*)\}")
_WRITTEN = re.compile(r"""\$\{[^{}"'\\\r\n]*\}""")  # as it stands in a file; quotes and escapes are YAML's
_SHIELD = 0xE000  # where Unicode has characters for private use
_EMPTY_FILE = "${file:…:-}"
_CHOSEN = ("clients", "credentials", "providers")  # below these stand names that a person chooses
_CHOSEN_NAME = re.compile(r"[A-Za-z0-9_./-]{1,64}")
_KEY = re.compile(r"[a-z_]{1,40}\Z")  # one of ours, or nearly; or nothing
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"'[^']*'")
_NAMES_A_VALUE = re.compile("alias|anchor|tag|directive")
_DEEPEST, _MOST_NODES = 20, 100_000  # of a configuration that a person wrote
_LONGEST = 1 << 20  # characters of a file that is one value
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "timestamp", "value", "merge"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where it stands and what to do about it."""

    file: str
    line: int
    key: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        where = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}: {where}{kind}{self.message}"


def dotted(path: KeyPath) -> str:
    """Write a key path as `routes.0.prefix`. Of what looks like no name or key little is shown: it may be a value."""
    return ".".join(_shown(part, chosen=at == 1 and path[0] in _CHOSEN) for at, part in enumerate(path))


def _shown(part: str | int, *, chosen: bool) -> str:
    plain = (_CHOSEN_NAME if chosen else _KEY).match(str(part))
    beginning = "" if plain is None else plain[0]
    return str(part) if isinstance(part, int) or beginning == part else f"{beginning}…"


@dataclass(slots=True)
class Source:
    """A configuration file as read: `data`, the line and the variables of each key path, and what was wrong.

    Checking goes by stages. What one stage found wrong is left out of the next, and so are the problems that would
    only follow from it: a later report at the same key, above it or below it is dropped.
    """

    path: Path
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    variables: dict[KeyPath, set[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _current: set[KeyPath] = field(default_factory=set)
    _settled: set[KeyPath] = field(default_factory=set)

    def line(self, path: KeyPath) -> int:
        """Give the line of `path`, or of the nearest key above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: KeyPath, message: str, *, warning: bool = False) -> None:
        """Add a problem found at `path`, unless it follows from one of an earlier stage."""
        if path and self.settled(*path):
            return
        self._current.add(path)
        self.problems.append(Problem(str(self.path), self.line(path), dotted(path), message, warning))

    def settled(self, *path: str | int) -> bool:
        """Tell whether an earlier stage found something wrong at `path`, above it or below it."""
        return any(path[: len(other)] == other or other[: len(path)] == path for other in self._settled)

    def next_stage(self) -> None:
        """Let what was found so far explain what comes."""
        self._settled |= self._current - {()}


def read_source(path: Path, environ: Mapping[str, str]) -> Source:
    """Read and expand the file at `path`. Problems, an unreadable file among them, are in the result."""
    source = Source(path)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        source.report((), "there is no such file: give one with -c, or set BEARER_PROXY_CONFIG")
        return source
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        source.report((), f"cannot be read: {reason}")
        return source
    if len(text) > _LONGEST:
        source.report((), "this is longer than a configuration can be")
        return source
    try:
        root = yaml.compose(_WRITTEN.sub(_shielded, text), Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "this is not YAML"
        if _NAMES_A_VALUE.search(what):
            what = _QUOTED.sub("…", what)
        source.problems.append(Problem(str(path), mark.line + 1 if mark else 1, "", f"not valid YAML: {what}"))
        return source
    except RecursionError:
        source.report((), "this is nested too deeply")
        return source
    value = None if root is None else _Walk(source, environ).value(root, ())
    source.data = {} if value is None else value
    return source


def _shielded(reference: re.Match[str]) -> str:
    """Write `${…}` so that YAML reads it as text, in a flow mapping too, where braces and commas mean something."""
    return "".join(chr(_SHIELD + ord(one)) if " " <= one <= "~" else one for one in reference[0])


def _unshielded(text: str) -> str:
    return "".join(chr(ord(one) - _SHIELD) if _SHIELD + 0x20 <= ord(one) < _SHIELD + 0x7F else one for one in text)


class _Loader(yaml.SafeLoader):
    """Reads YAML in which references were shielded."""

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        node.value = _unshielded(node.value)
        return node


class _Walk:
    """Turns YAML nodes into data, noting lines and duplicate keys.

    Scalars stay as they are written, all but true, false and null: YAML 1.1 would read 0123 as 83.
    """

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ
        self._loader = yaml.SafeLoader("")
        self._open: set[int] = set()
        self._flat: set[int] = set()
        self._nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        if id(node) in self._open:
            self._source.report(path, "an anchor may not contain itself")
        elif len(self._open) > _DEEPEST:
            self._source.report(path, "this is nested too deeply")
        elif self._nodes > _MOST_NODES:
            if self._nodes == _MOST_NODES + 1:
                self._source.report(path, "this file holds more than a configuration can")
        else:
            self._open.add(id(node))
            try:
                return self._inside(node, path)
            finally:
                self._open.discard(id(node))
        return None

    def _inside(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self._source.lines[path] = node.start_mark.line + 1
        return self.value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._flatten(node, path)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if not _is_text(key) or not key:
                self._source.report(path, "a key must be a plain word")
                continue
            here = (*path, key)
            self._source.lines[here] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, here)
        return result

    def _flatten(self, node: yaml.MappingNode, path: KeyPath) -> None:
        """Resolve `<<` in place, once a node, having looked for keys that stand twice."""
        if id(node) in self._flat:
            return
        self._flat.add(id(node))
        own: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in own:
                here = (*path, key.value)
                self._source.lines[here] = key.start_mark.line + 1
                self._source.report(here, "this key stands here twice")
            own.add(key.value)
            if key.tag == "tag:yaml.org,2002:merge":
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(merged, yaml.MappingNode):
                        self._flatten(merged, path)
        try:
            self._loader.flatten_mapping(node)
        except (yaml.YAMLError, RecursionError):
            self._source.report(path, "<< takes a mapping, or a list of mappings")

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        if not _is_text(node.value):
            self._source.report(path, "this holds characters that are no text")
        elif "${" in node.value:
            return self._expand(node.value, path)
        elif node.tag in _PLAIN_TAGS:
            return node.value
        elif node.tag == "tag:yaml.org,2002:null":
            return None
        elif node.tag == "tag:yaml.org,2002:bool" and node.value.lower() in self._loader.bool_values:
            return self._loader.bool_values[node.value.lower()]
        else:
            self._source.report(path, "this value has no meaning here: put it in quotes if it is a text")
        return None

    def _expand(self, text: str, path: KeyPath) -> str:
        def put(match: re.Match[str]) -> str:
            if match["escape"]:
                return "${"
            return self._reference(match["body"], path)

        expanded = _REFERENCE.sub(put, text)
        if "${" in _REFERENCE.sub("", text):
            self._source.report(path, "a ${ without its }: write $${ for the two characters themselves")
        return expanded

    def _reference(self, body: str, path: KeyPath) -> str:
        name, has_default, default = body.partition(":-")
        if name.startswith("file:"):
            return self._file(name.removeprefix("file:"), default if has_default else None, path)
        if not _NAME.fullmatch(name):
            self._source.report(path, "not a variable's name in ${…}: use ${NAME}, ${NAME:-default} or ${file:PATH}")
            return ""
        if path:
            self._source.variables.setdefault(path, set()).add(name)
        value = self._environ.get(name)
        if has_default:
            return value or default
        if value is None:
            self._source.report(path, f"the environment variable {name} is not set: set it, or write ${{{name}:-}}")
            return ""
        return value

    def _file(self, name: str, default: str | None, path: KeyPath) -> str:
        file = self._source.path.parent / name
        name = name if name.isprintable() else "of that name"
        try:
            value = _value_in(file)
            if value or default is not None:
                return value or default or ""
            self._source.report(path, f"the file {name} is empty: write {_EMPTY_FILE} if it may be")
        except FileNotFoundError:
            if default is not None:
                return default
            self._source.report(path, f"there is no file {name} to read this value from")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self._source.report(path, f"the file {name} cannot be read: {reason}")
        return ""


def _value_in(file: Path) -> str:
    """Read a file less its last line breaks; nothing of what may never end, such as a pipe that nobody writes to."""

    def opened(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK)

    with open(file, encoding="utf-8-sig", opener=opened) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        text = stream.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise OSError(errno.EFBIG, "it is too long for a value")
    return text.rstrip("\r\n")


def _is_text(value: str) -> bool:
    """Tell a text from one with halves of characters in it, which YAML can write and nothing can send."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
