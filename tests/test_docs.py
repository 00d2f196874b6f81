"""What the README and the example say is so."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.core import CounterMetricFamily

from proxy.cli.parser import make_parser
from proxy.config import load
from proxy.config.model import Client, ConfigFile, Credential, Provider, Route
from proxy.control.endpoints import OUTCOMES, CredentialFigures
from proxy.credentials.health import State
from proxy.metrics import Metrics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_in_the_readme(text: str, tmp_path: Path) -> None:
    """Every YAML block loads without an error."""
    (tmp_path / "config.yaml").write_text(text)
    load(tmp_path / "config.yaml", dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "0123456789abcdef"))


@pytest.mark.parametrize("model", [Client, ConfigFile, Credential, Provider, Route])
def test_every_key_is_documented(model: type[ConfigFile]) -> None:
    """Each key that a configuration may have is named in the README."""
    assert [] == [key for key in model.model_fields if f"`{key}`" not in README]


def test_every_link_into_the_project() -> None:
    """What the README points to, the tests that guard its promises among it, is there."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 20
    assert [] == [link for link in links if not (ROOT / link).exists()]


def test_every_command_is_documented() -> None:
    """Each command has a line in the README's table."""
    (commands,) = (
        action.choices for action in make_parser()._actions if action.dest == "==SUPPRESS==" and action.choices
    )
    assert [] == [name for name in commands if f"| `{name}" not in README]


def test_the_two_commands_at_the_top() -> None:
    """The first two shell blocks run the demo and the tests, and CI runs the very second."""
    demo, tests = (block.strip() for block in blocks("sh")[:2])
    assert ".ci/setup && .venv/bin/bearer-proxy demo" == demo
    assert f"bash -c '{tests}'" in (ROOT / ".ci/run").read_text()


def test_the_preset_table_names_every_vendor() -> None:
    """The README tells for each vendor where tokens come from."""
    assert all(f"| {vendor} |" in README for vendor in ("ReadyCloud", "Cloud 66", "OneCloud"))


def test_every_metric_is_documented() -> None:
    """Each has a row with its labels, and no row tells of another one."""
    core: Any = SimpleNamespace(health=list, store_trouble="")
    families: list[Any] = [*Metrics([]).collect(), *CredentialFigures(core).collect()]
    names = [one.name + ("_total" if isinstance(one, CounterMetricFamily) else "") for one in families]
    labels = [f"{{{','.join(one._labelnames)}}}" if one._labelnames else "" for one in families]
    rows = re.findall(r"^\| `(bearer_proxy_[^`]*)` \|", README, re.MULTILINE)
    assert sorted(name + label for name, label in zip(names, labels, strict=True)) == sorted(rows)


@pytest.mark.parametrize("word", [*OUTCOMES, *State, "accepted", "rejected", "caller", "upstream", "active", "idle"])
def test_every_word_of_a_label_is_documented(word: str) -> None:
    """The README names it."""
    section = README.partition("## Control plane")[2].partition("## In a container")[0]
    assert re.search(rf"`{word}[` ]", section)
