"""git over smart HTTP: clones, fetches and pushes at git's own server side behind nginx; an expiry is unseen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import HOST, Site
from tests.e2e.clients.programs import Ended, program, run

IDENTITY = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}
SMALL_BUFFER = ["-c", "http.postBuffer=1"]  # which git takes as 64 KiB: what is longer goes in chunks


def git(cwd: Path, *arguments: str | Path) -> Ended:
    """Run git, which must not fail."""
    done = run(["git", *arguments], cwd, env=IDENTITY)
    assert 0 == done.code, (arguments, done.err)
    return done


def commit(work: Path, number: int) -> None:
    """Commit a file that does not compress."""
    (work / f"file{number}").write_bytes(random.Random(number).randbytes(300_000))
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", f"commit {number}")


def tip(repository: Path) -> str:
    """The newest commit."""
    return git(repository, "rev-parse", "HEAD").text.strip()


@pytest.fixture
def bare(site: Site, tmp_path: Path) -> Path:
    """A repository at the server with three commits, to which one may push; `tmp_path/origin` has it too."""
    program("git")
    bare, origin = site.root / "git" / f"{tmp_path.name}.git", tmp_path / "origin"
    git(tmp_path, "init", "-q", "-b", "main", origin)
    for number in range(3):
        commit(origin, number)
    git(tmp_path, "clone", "-q", "--bare", origin, bare)
    return bare


@pytest.fixture
def path(bare: Path) -> str:
    """Where that repository is at the server."""
    return f"/git/{bare.name}"


@pytest.mark.parametrize("version", ["0", "2"])
@pytest.mark.parametrize("expiry", ["", "info/refs", "git-upload-pack"])
def test_clone(site: Site, tmp_path: Path, bare: Path, path: str, version: str, expiry: str) -> None:
    """A clone is whole, in either version of the protocol, with an expiry at any of its requests."""
    if expiry:
        site.grant.expire_before(f"{path}/{expiry}")
    git(tmp_path, "-c", f"protocol.version={version}", "clone", "-q", f"{site.url}{path}", "copy")
    git(tmp_path / "copy", "fsck", "--strict")
    assert tip(bare) == tip(tmp_path / "copy")
    assert int(bool(expiry)) == site.grant.exchanges


def test_shallow_clone(site: Site, tmp_path: Path, bare: Path, path: str) -> None:
    """A shallow clone has one commit, and can be deepened after an expiry."""
    git(tmp_path, "clone", "-q", "--depth=1", f"{site.url}{path}", "copy")
    copy = tmp_path / "copy"
    assert "1" == git(copy, "rev-list", "--count", "HEAD").text.strip()
    site.grant.expire_before(f"{path}/git-upload-pack")
    git(copy, "fetch", "-q", "--unshallow")
    assert "3" == git(copy, "rev-list", "--count", "HEAD").text.strip()
    assert (tip(bare), 1) == (tip(copy), site.grant.exchanges)


@pytest.mark.parametrize("options", [[], SMALL_BUFFER], ids=["length", "chunked"])
@pytest.mark.parametrize("expiry", ["", "info/refs", "git-receive-pack", "git-receive-pack.chunked"])
def test_push(site: Site, tmp_path: Path, bare: Path, path: str, options: list[str], expiry: str) -> None:
    """A push arrives whole, also where it goes in chunks and the token expires just before these."""
    origin = tmp_path / "origin"
    commit(origin, 3)
    if expiry:
        site.grant.expire_before(f"{path}/{expiry}")
    git(origin, *options, "push", "-q", f"{site.url}{path}", "main")
    git(bare, "fsck", "--strict")
    assert tip(origin) == tip(bare)
    noticed = expiry and (options or not expiry.endswith(".chunked"))
    assert int(bool(noticed)) == site.grant.exchanges


def test_push_with_an_expiry_in_its_midst(site: Site, tmp_path: Path, bare: Path, path: str) -> None:
    """A token that expires while git is at work, after it was told what the server has, is renewed unseen."""
    origin = tmp_path / "origin"
    commit(origin, 3)
    hook = origin / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nrm {site.grant.good}/*\n")
    hook.chmod(0o755)
    git(origin, *SMALL_BUFFER, "push", "-q", f"{site.url}{path}", "main")
    assert (tip(origin), 1) == (tip(bare), site.grant.exchanges)


def test_fetch(site: Site, tmp_path: Path, bare: Path, path: str) -> None:
    """What others have pushed is fetched, across an expiry."""
    git(tmp_path, "clone", "-q", f"{site.url}{path}", "copy")
    commit(tmp_path / "origin", 4)
    git(tmp_path / "origin", "push", "-q", bare, "main")
    site.grant.expire()
    git(tmp_path / "copy", "pull", "-q", "--ff-only")
    assert (tip(bare), 1) == (tip(tmp_path / "copy"), site.grant.exchanges)


def test_forward_proxy(site: Site, tmp_path: Path, bare: Path, path: str) -> None:
    """Named in http.proxy, the proxy takes git's request targets in absolute form."""
    site.grant.expire_before(f"{path}/git-upload-pack")
    git(tmp_path, "-c", f"http.proxy={site.proxy_url}", "clone", "-q", f"http://{HOST}{path}", "copy")
    assert (tip(bare), 1) == (tip(tmp_path / "copy"), site.grant.exchanges)


def test_repository_that_is_not_there(site: Site, tmp_path: Path, bare: Path) -> None:
    """The server's refusal is told in git's own words, and git asks for no password."""
    done = run(["git", "clone", f"{site.url}/git/nothing.git"], tmp_path, env=IDENTITY)
    assert (128, True) == (done.code, "not found" in done.err)
