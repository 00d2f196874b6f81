"""How many callers there may be, by the files that the system allows: each process has limits of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from proxy.gateway.plane import callers_at_most
soft, hard, wanted, upstreams = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(callers_at_most(wanted, upstreams), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("expected", "soft", "hard", "wanted", "upstreams"),
    [
        ((100, 296), 100, 1000, 100, 1000),  # the limit is raised as far as needed
        ((100, 500), 500, 1000, 100, 1000),  # and never lowered
        ((102, 300), 100, 300, 1000, 1000),  # the hard limit is the end
        ((194, 300), 100, 300, 1000, 10),  # few connections to upstreams leave more to callers
        ((1, 40), 40, 40, 1000, 1000),
    ],
)
def test_files_that_the_system_allows(expected, soft, hard, wanted, upstreams):
    """The soft limit is raised to what callers need, up to the hard one; what then fits in is the most there are."""
    numbers = map(str, (soft, hard, wanted, upstreams))
    done = subprocess.run([sys.executable, "-c", PROGRAM, *numbers], capture_output=True, text=True, check=True)
    assert expected == tuple(map(int, done.stdout.split()))
