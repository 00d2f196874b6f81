"""The import law: rooms know each other one way only, the pure parts know no transport, and files are short.

  cli → app → control, gateway, doctor → signin → credentials → callers, listen, logs, metrics, egress → config
      → errors, secret

The sandbox stands apart: it imports nothing of ours, and only cli imports it.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 310  # lines of a file
RANKS = {
    "__main__": 8,
    "cli": 7,
    "app": 6,
    "control": 5,
    "gateway": 5,
    "doctor": 5,
    "signin": 4,
    "credentials": 3,
    "callers": 2,
    "calling": 2,
    "listen": 2,
    "egress": 2,
    "logs": 2,
    "metrics": 2,
    "config": 1,
    "errors": 0,
    "secret": 0,
    "": 0,  # proxy/__init__.py, which holds the version
}
PURE = ("target", "headers", "judge", "routes", "body", "problem", "forward", "message", "admission", "cors")
TRANSPORTS = {"aiohttp", "yarl"}


def modules():
    """Give the path of every module of ours, by its dotted name."""
    paths = (ROOT / "proxy").rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def named(module, node):
    """Give the dotted names that an import statement in `module` means."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1] if node.level else []
    whole = ".".join([*base, *([node.module] if node.module else [])])
    return [f"{whole}.{alias.name}" if f"{whole}.{alias.name}" in MODULES else whole for alias in node.names]


def imports(module):
    """Give what a module imports, wherever in it that stands, ours and others'."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return {name for node in nodes for name in named(module, node)}


def room(module):
    return module.partition(".")[2].partition(".")[0]


def reached(module):
    """Give all that is loaded when a module is, as far as our own files tell."""
    seen, left = set(), {module}
    while left:
        name = left.pop()
        seen.add(name)
        if name in MODULES:
            left |= (imports(name) | {name.rpartition(".")[0]}) - seen
    return seen


def test_rooms():
    """Each has its place in the law."""
    assert set() == {room(module) for module in MODULES} - {*RANKS, "sandbox"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_direction(module):
    """A module imports from its own room and from lower ones; the sandbox is nobody's but cli's, and knows nobody."""
    here = room(module)
    rooms = {room(name) for name in imports(module) if name.split(".")[0] == "proxy"} - {here}
    allowed = {name for name, rank in RANKS.items() if rank < RANKS.get(here, 0)}
    assert set() == rooms - allowed - ({"sandbox"} if here == "cli" else set())


@pytest.mark.parametrize("name", PURE)
def test_pure_part_of_the_gateway(name):
    """It loads no HTTP library, not by way of another module either."""
    assert set() == {found.split(".")[0] for found in reached(f"proxy.gateway.{name}")} & TRANSPORTS


@pytest.mark.parametrize("module", sorted(MODULES))
def test_length(module):
    """No file is much longer than 300 lines."""
    assert LONGEST >= len(MODULES[module].read_text(encoding="utf-8").splitlines())
