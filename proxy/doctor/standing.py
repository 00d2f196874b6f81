"""The store, the spool folder, the addresses and the credentials: what was seen of them, judged. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..config import CredentialConfig, Problem
from ..credentials import policy
from ..credentials.health import Health, State
from ..signin.granted import scopes_in
from .facts import FolderSeen, Held, Holder, Presence, StoreSeen
from .finding import Finding, Level, ok, problem, warning

SPACE_WARNING, SPACE_PROBLEM = 100 << 20, 10 << 20  # bytes free

_LEVELS = {
    State.OK: Level.OK,
    State.RENEWING: Level.OK,
    State.EXPIRING: Level.OK,
    State.RETRYING: Level.WARNING,
    State.UNCERTAIN: Level.WARNING,
    State.NOT_CONFIGURED: Level.WARNING,
    State.NEVER_SIGNED_IN: Level.PROBLEM,
    State.LOGIN_REQUIRED: Level.PROBLEM,
}
_NO_STORE = "there is no store yet; it is made at the first sign-in"


def judge_configuration(
    path: Path, warnings: Iterable[Problem], credentials: Iterable[CredentialConfig]
) -> Iterator[Finding]:
    """Pass on the configuration's warnings, less those of credentials that lack something: these are told below."""
    told_below = {f"credentials.{one.name}" for one in credentials if one.missing}
    left = [one for one in warnings if one.key not in told_below]
    for one in left:
        where = f"{one.file}:{one.line}"
        yield warning("config", where, f"{one.key}: {one.message}" if one.key else one.message, "change it there")
    if not left:
        yield ok("config", str(path), "no errors")


def judge_store(seen: StoreSeen) -> Iterator[Finding]:
    """Judge the store, and the folder that it is in."""
    where = str(seen.path)
    if seen.trouble:
        yield problem(
            "store",
            where,
            seen.trouble,
            "give it to this user, set store_key to the key of its tokens, put back a good copy, "
            "or name another file in `store` and sign in again",
        )
    elif seen.presence is Presence.DANGLING:
        yield problem("store", where, "it is a link to a file that is not there", "remove the link, or mend it")
    elif seen.presence in (Presence.NOTHING, Presence.EMPTY):
        yield ok("store", where, _NO_STORE)
    else:
        yield ok("store", where, "it opens, and holds the credentials' tokens")
    if seen.permissions:
        yield warning("store", where, seen.permissions, f"run: chmod 600 {where}")
    if seen.sharing:
        yield warning(
            "store", where, seen.sharing, "set store_key (`openssl rand -base64 32` prints one) and restart serve"
        )
    for lock in seen.locks:
        yield problem(
            "store",
            str(lock),
            "this lock file cannot be opened by this user: nothing can be renewed",
            "give it to the user that the proxy runs as (chown)",
        )
    yield from _judge_folder("store", seen.folder, "store")
    if seen.folder.exists and seen.folder.open_to_others:
        yield warning(
            "store",
            str(seen.folder.path),
            "every user of this machine may put other files in its place",
            f"run: chmod o-w {seen.folder.path}",
        )


def judge_spool(seen: FolderSeen, store: FolderSeen) -> Iterator[Finding]:
    """Judge where request bodies are kept, unless it is the store's own folder."""
    if seen.path != store.path:
        yield from _judge_folder("spool", seen, "spool_dir")


def _judge_folder(check: str, seen: FolderSeen, key: str) -> Iterator[Finding]:
    where = str(seen.path)
    if not seen.exists:
        yield problem(check, where, "there is no such folder", f"make it, or name another in `{key}`")
    elif not seen.writable:
        yield problem(check, where, "this user cannot write there", f"give it to this user, or name another in `{key}`")
    elif seen.free is not None:
        free = f"{seen.free / (1 << 20):.0f} MiB are free"
        if seen.free >= SPACE_WARNING:
            yield ok(check, where, f"it can be written to; {free}")
        else:
            judged = warning if seen.free >= SPACE_PROBLEM else problem
            yield judged(check, where, f"the disk is almost full: {free}", f"make room, or name another in `{key}`")


def judge_serving(held: Sequence[Held]) -> Iterator[Finding]:
    """Say whether `serve` runs, and who else holds its addresses. It need not run."""
    ours = [one for one in held if one.holder in (Holder.OURS, Holder.NOT_READY)]
    if ours:
        yield ok("serve", ours[0].address, "serve is running")
    elif not any(one.holder in (Holder.ANOTHER, Holder.SILENT) for one in held):
        yield ok("serve", held[0].address if held else "-", "serve is not running")
    for one in held:
        if one.holder is Holder.NOT_READY:
            yield warning(
                "serve",
                one.address,
                "serve says that it is not ready",
                f"look at /readyz of {one.address}: it says why",
            )
        elif one.holder is Holder.ANOTHER:
            yield problem(
                "serve",
                one.address,
                "another program listens here",
                f"end it, or choose another address in `{'admin' if one.admin else 'listen'}`",
            )
        elif one.holder is Holder.SILENT:
            yield problem(
                "serve",
                one.address,
                "what listens here does not answer",
                "if it is serve, restart it; if not, end it or choose another address",
            )
        elif one.holder is Holder.NOBODY and ours:
            yield warning(
                "serve",
                one.address,
                "serve is running, but does not listen here",
                "restart serve: the configuration has changed since it started",
            )


def judge_health(health: Health, now: float) -> Iterator[Finding]:
    """Judge one credential."""
    name = health.config.name
    state, reason = health.state(now)
    level, text = _LEVELS[state], health.described(now)
    if state is State.EXPIRING and reason:
        level, text = Level.WARNING, f"{text}: {reason}"
    if level is Level.OK:
        yield ok("credential", name, text)
    else:
        yield Finding(level, "credential", name, text, health.next_step(now))
    if state in (State.NOT_CONFIGURED, State.NEVER_SIGNED_IN, State.LOGIN_REQUIRED):
        return
    record, terms = health.record, health.terms
    lacks_refresh_token = terms.renew == "refresh_token" and record.refresh_token is None
    if lacks_refresh_token and level is Level.OK and state is not State.RENEWING:
        yield warning(
            "credential",
            name,
            "it has no refresh token: a new sign-in is needed when its access token expires",
            f"when that happens, {policy.remedy(record, terms)}",
        )
    yield from _judge_scopes(health)


def unknown_health(credential: CredentialConfig) -> Finding:
    """Say of a credential what can be said while the store cannot be read."""
    name = credential.name
    if credential.missing:
        lacks = ", ".join(credential.missing)
        return warning("credential", name, f"not configured (it lacks {lacks})", f"set {lacks} for {name}")
    return warning(
        "credential", name, "how it is cannot be told while the store cannot be read", "mend the store first"
    )


def _judge_scopes(health: Health) -> Iterator[Finding]:
    """Hold the granted scopes against those asked for. Only ours are named: the others are a vendor's text."""
    asked = set(health.config.scopes)
    granted = set(scopes_in(health.record.scope))
    if not (asked and granted) or asked == granted:
        return
    lacking = " ".join(sorted(asked - granted))
    if lacking:
        yield warning(
            "credential",
            health.config.name,
            f"these scopes of the configuration were not granted: {lacking}",
            f"take them out of `scopes`, or sign in again and agree to them; "
            f"{policy.remedy(health.record, health.terms)}",
        )
    else:
        yield ok(
            "credential", health.config.name, f"it was granted {len(granted - asked)} scopes beyond those asked for"
        )
