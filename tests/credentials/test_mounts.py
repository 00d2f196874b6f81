"""Whether others may share the file system that the store lies on, by what Linux tells of its mounts."""

from pathlib import Path

import pytest

from proxy.credentials import mounts
from proxy.credentials.mounts import file_system, is_shared, shared_file_system
from proxy.credentials.store import Store
from proxy.secret import Secret

KEY = Secret("A" * 43 + "=")
TEXT = r"""21 98 0:20 / /proc rw,nosuid shared:14 - proc proc rw
98 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
99 98 0:40 / /data rw - nfs4 server:/export rw,vers=4.2
100 99 8:2 / /data/local rw master:3 propagate_from:2 - xfs /dev/sdb rw
101 98 0:41 / /with\040a\011blank rw shared:9 - 9p host rw
102 98 8:3 / /twice rw - ext4 /dev/sdc rw
103 102 0:42 / /twice rw - virtiofs tag rw
104 98 0:43 / /back\134slash rw - cifs //server/share rw

nonsense
105 98 0:44 / /cut rw -
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/tokens.db", "ext4"),
        ("/data/tokens.db", "nfs4"),
        ("/data", "nfs4"),
        ("/database/tokens.db", "ext4"),
        ("/data/local/deep/tokens.db", "xfs"),
        ("/data/locals/tokens.db", "nfs4"),
        ("/with a\tblank/tokens.db", "9p"),
        ("/twice/tokens.db", "virtiofs"),
        ("/back\\slash/tokens.db", "cifs"),
        ("/cut/tokens.db", "ext4"),
    ],
)
def test_file_system(path, expected):
    """The deepest mount point above a path counts, whole segments of it, and the last of several."""
    assert expected == file_system(path, TEXT)


@pytest.mark.parametrize(
    ("expected", "kinds"),
    [
        (True, "nfs nfs4 cifs smb3 9p virtiofs fuse.sshfs fuse.glusterfs ceph lustre afs vboxsf gfs2 fakeowner"),
        (False, "ext4 xfs btrfs zfs overlay tmpfs fuseblk fuse.fuse-overlayfs fuse.gocryptfs nfsd proc fuse"),
    ],
)
def test_what_others_may_share(expected, kinds):
    """Networks, clusters and what is lent by a host do; disks and memory do not."""
    assert dict.fromkeys(kinds.split(), expected) == {kind: is_shared(kind) for kind in kinds.split()}
    assert not is_shared("")


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Have the system say that all is on NFS."""
    told = tmp_path / "mountinfo"
    told.write_text("1 0 0:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", told)


@pytest.mark.parametrize("keys", [[], [KEY]], ids=["no key", "key"])
async def test_store_that_others_share(shared, tmp_path, keys):
    """It warns, and says what to do, unless its tokens are encrypted."""
    store = await Store.open(tmp_path / "tokens.db", keys)
    warning = store.sharing_warning()
    await store.close()
    assert (
        "" if keys else f"{tmp_path / 'tokens.db'} is not encrypted, on a file system that others may share (nfs4): "
    ) in warning
    assert bool(keys) is not warning.endswith("set store_key")


async def test_store_on_a_disk_of_this_machine(tmp_path):
    """No warning, as wherever the system does not tell."""
    store = await Store.open(tmp_path / "tokens.db")
    assert "" == store.sharing_warning()
    await store.close()


@pytest.mark.parametrize("what", ["nothing", "folder", "no text"])
def test_a_system_that_does_not_tell(tmp_path, monkeypatch, what):
    """Nothing is said."""
    told = tmp_path / "mountinfo"
    if what == "folder":
        told.mkdir()
    elif what == "no text":
        told.write_bytes(b"\xff\xfe 0 \n")
    monkeypatch.setattr(mounts, "_MOUNTS", told)
    assert "" == shared_file_system(tmp_path / "tokens.db")


def test_a_path_that_leads_to_itself(shared, tmp_path):
    """Nothing is said of it here."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "" == shared_file_system(tmp_path / "loop")


def test_a_link(shared, tmp_path, monkeypatch):
    """What counts is where the file itself lies."""
    told = Path(mounts._MOUNTS)
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    told.write_text(f"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / {(tmp_path / 'far').resolve()} rw - nfs d rw\n")
    assert "nfs" == shared_file_system(tmp_path / "link" / "tokens.db")
