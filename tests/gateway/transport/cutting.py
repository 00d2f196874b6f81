"""Bytes in pieces, as a network brings them."""

import itertools


def pieces(data, size):
    """Give pieces of one size, the last as it comes."""
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


def cut(data, places):
    """Give what lies between these places; empty pieces are left out."""
    bounds = [0, *sorted(places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(bounds) if begin < end]
