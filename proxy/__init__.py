"""bearer-proxy: an authenticating HTTP reverse proxy for OAuth 2 APIs."""

__version__ = "0.1.0"
