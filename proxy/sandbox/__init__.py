"""The sandbox: emulated vendors, as strict as the real ones, and able to misbehave on request.

It stands apart: it imports nothing from the rest of `proxy`, and only the command line and the tests know it.
The facts behind each vendor are in its module's docstring. The control endpoint is described in `control`, faults in
`faults`, settings in `settings`. People sign in as `authorize` says: at ReadyCloud by the rules in `implicit`, at
Cloud 66 by those in `doorkeeper`.
"""

from .server import VENDORS, Sandbox
from .settings import CLIENT_ID, CLIENT_SECRET, SandboxSettings

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "VENDORS", "Sandbox", "SandboxSettings"]
