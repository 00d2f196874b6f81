"""The two ends of the data path: bytes from and to callers, bytes to and from upstreams. Knows no routes."""
