"""What it costs a request to be asked who calls: `python -m tests.benchmarks.checks`.

In one run, on one processor: the checks alone, as the data plane does them for one head after the other, and with them
the processor time of a whole proxied GET. A head that came before, byte for byte, is judged by what is known of it; one
that is ever new is looked through.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from proxy.callers.guesses import Guesses
from proxy.config import Callers, ClientConfig, load
from proxy.gateway.admission import Admission
from proxy.gateway.message import Downstream, Headers, Request

from .ours import OURS
from .process import Processors, allow_files, nothing_left, on, program
from .site import opened
from .workloads import cost

KEY = "0123456789abcdef0123456789abcdef"
ALLOWED = 5.0  # per cent of a proxied GET
SECONDS, ROUNDS, TIMES = 3, 3, 50_000
CONFIG = f"""\
listen: 127.0.0.1:8080
anonymous: [127.0.0.1]
hosts: [proxy, proxy.internal]
set_real_ip_from: [127.0.0.0/8]
clients:
  erp: {{key: {KEY}, routes: [/rc], methods: [GET]}}
  others: {{key: [{KEY}-1, {KEY}-2, {KEY}-3, {KEY}-4, {KEY}-5]}}
credentials: {{plain: {{provider: plain}}}}
routes: [{{prefix: /rc, credential: plain}}]
providers: {{plain: {{grant: manual, renew: none, upstream: "http://127.0.0.1:1"}}}}
"""
USUAL: Headers = (("Host", "127.0.0.1:8080"), ("User-Agent", "curl/8.5.0"), ("Accept", "*/*"))
KEYED: Headers = (*USUAL, ("Authorization", f"Bearer {KEY}"))
CALLERS: dict[str, Headers] = {
    "anonymous": USUAL,
    "with a key": KEYED,
    "with a key, by way of an outer proxy": (*KEYED, ("X-Forwarded-For", "192.0.2.7")),
}


def main(seconds: int = SECONDS, rounds: int = ROUNDS, times: int = TIMES) -> int:
    """Print the table; 1 if the checks cost more than they may."""
    lacking = [name for name in ("nginx", "wrk") if not program(name)]
    if lacking:
        print(f"nothing can be measured without {' and '.join(lacking)}, not installed here", file=sys.stderr)
        return 2
    processors = Processors.found()
    allow_files()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, nothing_left():
        with on(processors.rest), opened(Path(folder), processors) as site:
            running = OURS[0].start(site, None)
            try:
                known = min(cost(running, seconds, row="x")["x"] for _ in range(rounds))
                new = min(cost(running, seconds, row="x", word="new")["x"] for _ in range(rounds))
            finally:
                running.started.stop()
        with on(processors.proxy):
            callers = configured(Path(folder))
            found = {name: checked(callers, headers, times) for name, headers in CALLERS.items()}
    print(f"{'CPU µs of the checks (per cent of the whole GET)':<50}{'a known head':>18}{'an ever new head':>20}")
    worst = 0.0
    for name, (again, first) in found.items():
        shares = again / known * 100, first / new * 100
        worst = max(worst, *shares)
        print(f"{name:<50}{f'{again:.2f} ({shares[0]:.1f} %)':>18}{f'{first:.2f} ({shares[1]:.1f} %)':>20}")
    print(f"{'the whole GET':<50}{f'{known:.1f}':>18}{f'{new:.1f}':>20}")
    return 1 if worst > ALLOWED else 0


def configured(folder: Path) -> Callers:
    """Read what callers are asked."""
    path = folder / "config.yaml"
    path.write_text(CONFIG)
    return load(path, {})[0].callers


def checked(callers: Callers, headers: Headers, times: int) -> tuple[float, float]:
    """Give the microseconds of judging a head that is known, and one that is not."""
    admission = Admission(callers, frozenset(callers.hosts), Guesses())
    downstream = Downstream("", "http", "127.0.0.1", "127.0.0.1")
    request = Request("GET", "/rc/x", headers, host="127.0.0.1:8080", downstream=downstream)
    claim = admission.claim(request)
    admitted: ClientConfig | None = admission.admit(request, claim)
    if (admitted is None) != (headers is USUAL):
        raise RuntimeError("these checks do not find who calls")
    again = microseconds(lambda: admission.admit(request, claim), times)
    first = microseconds(lambda: admission.admit(request, admission.claim(request)), times)
    return again, first


def microseconds(work: Callable[[], object], times: int) -> float:
    """Give what one call takes, the best of five rounds; the loop itself is in it."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - began)
    return best / times * 1e6


if __name__ == "__main__":
    sys.exit(main())
