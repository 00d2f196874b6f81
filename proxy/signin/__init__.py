"""Signing in: a person is sent to the vendor, and what comes back becomes tokens. Knows nothing of HTTP servers."""
