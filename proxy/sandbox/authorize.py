"""The interactive sign-in, as far as vendors share it: a page that asks a person, and what the answer leads to. Pure.

A vendor looks at the request first (`Asked`, or the `Answer` that refuses it). GET shows the page, POST brings the
decision; the form goes to the very address of the page, which is looked at again, so nothing is kept in between.
Whoever opens the page is the person signed in: there are no passwords here, and no script.
All text that came from outside is escaped. No page shows a token; one shows a code (`code_page`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape

from .messages import Answer, Call, text_answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A sign-in that the vendor has nothing against. `redirect`: where the browser goes next; `state`: None if none."""

    client: str
    scopes: tuple[str, ...]
    redirect: str
    state: str | None = field(repr=False)

    def fields(self, **fields: str) -> dict[str, str]:
        """What the query of the redirect is to hold: these, and the state if one was given."""
        return fields if self.state is None else {**fields, "state": self.state}


def decided(call: Call, asked: Asked, *, allow: Callable[[], Answer], deny: Callable[[], Answer]) -> Answer:
    """The page, or what the person's decision leads to."""
    if call.reads:
        return consent_page(asked)
    outcome = {"allow": allow, "deny": deny}.get(call.form.get("decision", ""))
    return error_page("The form says neither allow nor deny.", 400) if outcome is None else outcome()


def granted(scopes: Iterable[str], withheld: str) -> str:
    """The scopes that a consent comes to, with spaces between."""
    return " ".join(scope for scope in scopes if scope not in withheld.split())


def unique(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes in their order, each once, none of them empty."""
    return tuple(dict.fromkeys(scope for scope in scopes if scope))


def consent_page(asked: Asked) -> Answer:
    scopes = "".join(f"<li>{escape(scope)}</li>" for scope in asked.scopes)
    return _page(
        "Authorization required",
        f'<p>Allow <strong id="client">{escape(asked.client)}</strong> to use your account?</p>'
        f'<p>It asks for:</p><ul id="scopes">{scopes}</ul>'
        f'<p>The answer goes to <span id="redirect">{escape(asked.redirect)}</span></p>'
        '<form method="post">'
        '<button name="decision" value="allow" id="allow">Allow</button> '
        '<button name="decision" value="deny" id="deny">Deny</button>'
        "</form>",
    )


def error_page(message: str, status: int) -> Answer:
    """The vendor's own page where a redirect would be wrong: it tells the person, and nobody else."""
    return _page("An error has occurred", f'<p id="error">{escape(message)}</p>', status)


def copy_page(text: str) -> Answer:
    """A page that tells the person what to copy."""
    return _page("Authorized", f'<p id="copy">{escape(text)}</p>')


def code_page(code: str) -> Answer:
    """A page that shows an authorization code for copying."""
    return _page("Authorization code", f'<code id="authorization_code">{escape(code)}</code>')


def sent_to(url: str) -> Answer:
    """A redirect. Its address may hold tokens or a code, so nobody keeps it."""
    return Answer(302, headers={"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def _page(title: str, body: str, status: int = 200) -> Answer:
    html = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1>{body}</body></html>"
    )
    return text_answer(html, status).plus(Cache_Control="no-store", Referrer_Policy="no-referrer")
