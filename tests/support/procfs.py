"""What the kernel tells of a running process: its descriptors, and its memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

_WITHIN = 10.0  # seconds that descriptors have to be closed


def descriptors(pid: int) -> int:
    """How many file descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def back_to(pid: int, number: int) -> int:
    """Wait until a process has no more than so many descriptors open; give how many it has."""
    end = asyncio.get_running_loop().time() + _WITHIN
    while (found := descriptors(pid)) > number and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.02)
    return found


def peak(pid: int) -> int:
    """The most memory that a process has held since `forget_peak`, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> int:
    """Begin anew with `peak`; give what it is then (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)
