"""What doctor's probes see, before anyone judges it. Values only: no library's words, nothing that a vendor wrote."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from ..credentials.health import Health


class Failure(Enum):
    """Where the way to an origin ended."""

    NO_ADDRESS = auto()
    LOOK_UP_FAILED = auto()
    LOOK_UP_TIMEOUT = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    CONNECT_TIMEOUT = auto()
    UNTRUSTED = auto()
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    WRONG_NAME = auto()
    TLS_FAILED = auto()
    NOT_HTTP = auto()
    CLOSED = auto()
    ANSWER_TIMEOUT = auto()
    PROXY_UNUSABLE = auto()
    PROXY_UNREACHABLE = auto()
    PROXY_REFUSED = auto()


@dataclass(frozen=True, slots=True)
class OriginSeen:
    """How far a probe of an origin got. Times are seconds since the epoch.

    `asked_at` is our time halfway between the request and the head of its answer, `server_time` is what the origin
    takes that moment for; `certificate_until` is when its certificate expires. None: not known. `proxy` is the variable
    that names the egress proxy on the way, empty for the direct way.
    """

    failure: Failure | None = None
    status: int = 0
    seconds: float = 0.0
    asked_at: float = 0.0
    server_time: float | None = None
    certificate_until: float | None = None
    proxy: str = ""


class Holder(Enum):
    """Who answers at an address of ours."""

    NOBODY = auto()
    HIDDEN = auto()  # this user may not connect
    OURS = auto()
    NOT_READY = auto()  # ours, and it says that it cannot serve
    SILENT = auto()  # somebody, who does not answer in time
    ANOTHER = auto()


@dataclass(frozen=True, slots=True)
class Held:
    """An address of the configuration, and who answers there. `admin`: it is the control plane's."""

    address: str
    holder: Holder
    admin: bool = False


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """A folder that is written to. `free` is bytes, None where it cannot be told."""

    path: Path
    exists: bool = True
    writable: bool = True
    open_to_others: bool = False
    free: int | None = None


class Presence(Enum):
    """What stands where the store should be."""

    NOTHING = auto()
    EMPTY = auto()
    DANGLING = auto()
    SOMETHING = auto()


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """The store as this user can use it. `trouble`, `permissions` and `sharing` are sentences of its own, or empty.

    `locks` are lock files that cannot be opened. `health` is None while the credentials cannot be read.
    """

    path: Path
    presence: Presence
    folder: FolderSeen
    trouble: str = ""
    permissions: str = ""
    sharing: str = ""
    locks: tuple[Path, ...] = ()
    health: tuple[Health, ...] | None = None
