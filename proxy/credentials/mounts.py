"""Which file system a file lies on, as Linux tells it: one that other machines may read as well is worth a word."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

_MOUNTS = Path("/proc/self/mountinfo")
# Of networks, of clusters, and what a virtual machine or a container is given of its host's; FUSE's lead elsewhere too.
_SHARED = re.compile(
    "9p|acfs|afs|beegfs|ceph|cifs|coda|davfs|drvfs|fakeowner|fhgfs|gfs2?|glusterfs|gpfs|kafs|lustre|ncpfs|nfs4?|ocfs2|"
    "orangefs|panfs|prl_fs|pvfs2|smb2|smb3|smbfs|vboxsf|virtiofs|vmhgfs|wekafs|"
    r"fuse\.(?!(fuse-overlayfs|lxcfs|mergerfs|bindfs|gocryptfs|encfs)$).*"
)


def shared_file_system(path: Path) -> str:
    """Give the type of the file system that `path` lies on if others may share it, else nothing.

    Nothing too where the system does not tell.
    """
    try:
        text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        found = file_system(str(path.resolve()), text)
    except (OSError, RuntimeError, ValueError):
        return ""
    return found if is_shared(found) else ""


def is_shared(kind: str) -> bool:
    """Tell by its type whether others may share a file system."""
    return _SHARED.fullmatch(kind) is not None


def file_system(path: str, mounts: str) -> str:
    """Give the type of the file system of an absolute path, by the text of mountinfo (proc_pid_mountinfo(5)).

    The deepest mount point above it counts, and of several at one place the last.
    """
    wanted, best, found = PurePosixPath(path), -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ", 1)[0]
        if len(fields) < 5 or not kind:
            continue
        point = PurePosixPath(_unescaped(fields[4]))
        if wanted.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), kind
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
