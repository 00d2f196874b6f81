"""Listeners of both planes: their sockets, and what those marked ssl speak."""

from .sockets import accept_callers, close_listener, listening_name, open_sockets
from .tls import HANDSHAKES, SPEAK_TLS, ListenerTls, listener_tls

__all__ = [
    "HANDSHAKES",
    "SPEAK_TLS",
    "ListenerTls",
    "accept_callers",
    "close_listener",
    "listener_tls",
    "listening_name",
    "open_sockets",
]
