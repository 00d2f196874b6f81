"""Providers: the presets, and what `extends` makes of them."""

import pytest

from proxy.config import presets
from proxy.config.model import Provider
from proxy.config.providers import extended, hint

A = Provider(upstream="https://a.example", token_url="https://a.example/t", renew="none")


def test_presets():
    """The presets of the contract are there, and Cloud 66 by a personal token, resolved."""
    expected = ["cloud66", "cloud66-personal", "cloud66-v2", "onecloud", "readycloud", "readycloud-v1"]
    assert expected == sorted(presets())
    assert [None] * 6 == [provider.extends for provider in presets().values()]


@pytest.mark.parametrize(
    ("name", "upstream", "token_url", "grant", "token_request", "client_auth"),
    [
        (
            "readycloud",
            "https://www.readycloud.com",
            "https://www.readycloud.com/api/v1/oauth2/token/",
            "implicit",
            "form",
            "body",
        ),
        (
            "cloud66",
            "https://app.cloud66.com",
            "https://app.cloud66.com/oauth/token",
            "authorization_code",
            "form",
            "body",
        ),
        (
            "cloud66-v2",
            "https://www.cloud66.com",
            "https://www.cloud66.com/oauth/token",
            "authorization_code",
            "form",
            "body",
        ),
        ("onecloud", "", "", "manual", "json", "none"),
        (
            "cloud66-personal",
            "https://app.cloud66.com",
            "https://app.cloud66.com/oauth/token",
            "manual",
            "form",
            "body",
        ),
    ],
)
def test_preset(name, upstream, token_url, grant, token_request, client_auth):
    """A preset says where its vendor is and how it is spoken to."""
    preset = presets()[name]
    assert (upstream, token_url, grant, token_request, client_auth) == (
        preset.upstream,
        preset.token_url,
        preset.grant,
        preset.token_request,
        preset.client_auth,
    )


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        (("https://www.readycloud.com/api/v1/oauth2/authorize", "none", "exact", "/api/v2/orgs/"), "readycloud"),
        (("https://www.readycloud.com/api/v1/oauth2/authorize", "none", "exact", "/api/v2/orgs/"), "readycloud-v1"),
        (("https://app.cloud66.com/oauth/authorize", "redirect_uri", "host", ""), "cloud66"),
        (("https://www.cloud66.com/oauth/authorize", "redirect_uri", "host", ""), "cloud66-v2"),
        (("", "redirect_uri", "exact", ""), "onecloud"),
    ],
)
def test_sign_in_of_a_preset(expected, name):
    """A preset says where a person consents, and what the vendor wants to hear of the way back."""
    preset = presets()[name]
    assert expected == (
        preset.authorize_url,
        preset.redirect_parameter,
        preset.redirect_match,
        preset.orgs_path,
    )
    assert ("space", {}) == (preset.scope_separator, preset.authorize_parameters)


def test_personal_token_of_cloud66():
    """It needs nothing but itself: it is pasted, and never renewed."""
    preset = presets()["cloud66-personal"]
    assert ("manual", "none") == (preset.grant, preset.renew)


def test_readycloud_v1():
    """The older API differs by its paths alone, which callers write themselves."""
    assert presets()["readycloud"].model_dump() == presets()["readycloud-v1"].model_dump()


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        (("/api/v1/oauth2",), "readycloud"),
        (("/oauth",), "cloud66"),
        (("/oauth",), "cloud66-v2"),
        (("/oauth",), "cloud66-personal"),
    ],
)
def test_oauth_paths(expected, name):
    """The vendor's own OAuth endpoints are known, so that they are never proxied (D3)."""
    assert expected == presets()[name].oauth_paths


@pytest.mark.parametrize(
    ("expected", "entries", "name"),
    [
        (("https://a.example", "none"), {"b": Provider(extends="a"), "a": A}, "b"),
        (("https://b.example", "none"), {"b": Provider(extends="a", upstream="https://b.example"), "a": A}, "b"),
        (("", "none"), {"b": Provider(extends="a", upstream=""), "a": A}, "b"),
        (("https://a.example", "refresh_token"), {"b": Provider(extends="a", renew="refresh_token"), "a": A}, "b"),
        (("https://k.example", "refresh_token"), {"b": Provider(extends="known")}, "b"),
        (("https://k.example", "none"), {"known": Provider(extends="known", renew="none")}, "known"),
        (
            ("https://k.example", "none"),
            {"known": Provider(extends="known", renew="none"), "b": Provider(extends="known")},
            "b",
        ),
        (("https://a.example", "none"), {"known": A, "b": Provider(extends="known")}, "b"),
        (
            ("https://a.example", "none"),
            {"c": Provider(extends="b"), "b": Provider(extends="a"), "a": A},
            "c",
        ),
    ],
)
def test_extends(expected, entries, name):
    """What is written wins over what is extended, an empty value too; one's own name means the preset."""
    known = {"known": Provider(upstream="https://k.example")}
    provider = extended(name, entries, known)
    assert (*expected, None) == (provider.upstream, provider.renew, provider.extends)


@pytest.mark.parametrize(
    ("expected", "entries", "name"),
    [
        ("extends runs in a circle", {"a": Provider(extends="a")}, "a"),
        ("extends runs in a circle", {"a": Provider(extends="b"), "b": Provider(extends="a")}, "a"),
        ("extends runs in a circle", {"a": Provider(extends="b"), "b": Provider(extends="b")}, "a"),
        (
            "extends runs in a circle",
            {"known": Provider(extends="b"), "b": Provider(extends="known")},
            "known",
        ),
    ],
)
def test_extends_in_a_circle(expected, entries, name):
    """A circle is refused, through a preset's name too."""
    with pytest.raises(ValueError, match=expected):
        extended(name, entries, {"known": A})


@pytest.mark.parametrize(
    ("expected", "word"),
    [
        (" (did you mean 'credential'?)", "credental"),
        (" (did you mean 'credential'?)", "credentials"),
        ("", "xyz"),
        ("", ""),
        ("", "c" * 100_000),
    ],
)
def test_hint(expected, word):
    """A known word is offered where it is close, and only then."""
    assert expected == hint(word, ["prefix", "credential", "host"])
