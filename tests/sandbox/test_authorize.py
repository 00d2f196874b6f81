"""What the vendors' sign-ins share, without sockets."""

from proxy.sandbox.authorize import Asked, code_page, consent_page, copy_page, error_page, granted, unique

HOSTILE = "<b a=\"'&"
ESCAPED = b"&lt;b a=&quot;&#x27;&amp;"


def test_pages():
    """Whatever is put into one is escaped, wherever it stands."""
    consent = consent_page(Asked(HOSTILE, (HOSTILE, HOSTILE), HOSTILE, HOSTILE))
    assert 4 == consent.body.count(ESCAPED)
    for page in (error_page(HOSTILE, 400), copy_page(HOSTILE), code_page(HOSTILE)):
        assert 1 == page.body.count(ESCAPED)
        assert ("no-store", "no-referrer") == (page.headers["Cache-Control"], page.headers["Referrer-Policy"])
        assert HOSTILE.encode() not in page.body


def test_scopes():
    """Each counts once, in its order; what is withheld is not granted."""
    assert ("b", "a") == unique(["b", "", "a", "b"])
    assert "b d" == granted(("a", "b", "c", "d"), "c  a e")


def test_repr():
    """A sign-in does not show its state."""
    assert "s3cret" not in repr(Asked("app", ("order",), "http://v.example/", "s3cret"))
