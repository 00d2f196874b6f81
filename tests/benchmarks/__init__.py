"""What a proxied request costs, here and with the usual reverse proxies: `python -m tests.benchmarks` prints a table.

Each proxy runs with one worker, alone on one processor; the upstream (nginx) and the load (wrk) share another. Compared
is the processor time that the proxy takes, user and system, of all its processes: other work on the machine changes it
less than it changes requests per second. Every figure is the best of some rounds, and stands beside its ratio to nginx
in the same run. Other work still makes the cheap proxies dearer by far more than the dear ones, so ratios count on a
quiet machine only; where rounds differ, it is said.

Everything is on loopback, in a temporary folder, with a certificate authority of its own. A proxy whose program is not
installed is left out and named. nginx and wrk are needed.
"""
