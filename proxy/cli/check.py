"""The commands that look at the configuration alone."""

from __future__ import annotations

import argparse
import json
import os

from ..config import load
from ..config import schema as config_schema
from ..errors import ConfigError


def check(options: argparse.Namespace) -> int:
    """Print every problem; 2 if one is an error."""
    try:
        config, warnings = load(options.config, os.environ)
    except ConfigError as error:
        print(error)
        return error.exit_code
    for warning in warnings:
        print(warning)
    if not config.routes:
        print(f"{options.config}: there are no routes: every request will be answered 404")
    ready = sum(not credential.missing for credential in config.credentials.values())
    total, routes = len(config.credentials), len(config.routes)
    print(f"{options.config}: no errors; routes: {routes}; credentials: {total}, of which configured: {ready}")
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema of config.yaml."""
    print(json.dumps(config_schema(), indent=2))
    return 0
