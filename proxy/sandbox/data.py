"""The vendors' data: made up but for the scopes, and the same every time. No real person, company or address is in it.

Each function builds fresh values, so that a vendor may change its own.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]

PERSON = "7"  # the `user` who signs in to ReadyCloud
READYCLOUD_SCOPES = (  # most have a `-read_only` twin; which do not is unknown, so all do here
    "company",
    "packaging",
    "calendar",
    "license_key",
    "account",
    "api_client",
    "tracking_number",
    "contact",
    "backup_config",
    "order",
    "note",
)
CLOUD66_SCOPES = ("public", "redeploy", "jobs", "users", "admin")  # the first is what one gets without asking
ORG_KEYS = ("7kQ2f", "9~x.B")  # the second has characters that some programs escape for no reason
_COMPANIES = ("Example Outfitters", "Sample Goods")
_GOODS = (
    ("MUG-01", "Enamel mug", "12.50"),
    ("LAMP-02", "Desk lamp, café", "39.00"),
    ("BAG-03", "Canvas bag", "24.90"),
    ("PEN-04", "Pen set", "8.75"),
    ("MAP-05", "Wall map", "17.20"),
)
_TOWNS = (("Springfield", "OR", "97477"), ("Riverside", "CA", "92501"), ("Fairview", "TN", "37062"))
_CARRIERS = ("ground", "two-day", "overnight")


def _day(number: int) -> str:
    return f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}T{8 + number % 10:02}:30:00Z"


def _address(number: int) -> Item:
    city, state, code = _TOWNS[number % len(_TOWNS)]
    return {
        "name": f"Sample Buyer {number:02}",
        "company": None if number % 3 else "Example Workshop",
        "street_1": f"{100 + number} Sample Street",
        "city": city,
        "state": state,
        "post_code": code,
        "country": "US",
        "email": f"buyer{number:02}@example.com",
    }


def _line(number: int) -> Item:
    sku, name, price = _GOODS[number % len(_GOODS)]
    return {"sku": sku, "name": name, "quantity": 1 + number % 3, "unit_price": price}


def _order(org: str, number: int) -> Item:
    """An order as the vendor shows it; its `url` is host-relative, as in the vendor's docs."""
    return {
        "id": number,
        "url": f"/api/v2/orgs/{org}/orders/{number}/",
        "primary_id": f"SO-{number}",
        "order_time": _day(number),
        "status": ("new", "packed", "shipped")[number % 3],
        "shipping": {"ship_via": _CARRIERS[number % len(_CARRIERS)], "ship_to": _address(number % 100)},
        "items": [_line(number + place) for place in range(1 + number % 4)],
    }


def organizations() -> dict[str, Item]:
    """ReadyCloud organizations by their key."""
    return {
        key: {"url": f"/api/v2/orgs/{key}/", "name": name, "time_zone": "America/New_York"}
        for key, name in zip(ORG_KEYS, _COMPANIES, strict=True)
    }


def orders() -> dict[str, dict[str, Item]]:
    """ReadyCloud orders: 40 of the first organization, 5 of the second, by organization and id."""
    spans = zip(ORG_KEYS, (range(1001, 1041), range(5001, 5006)), strict=True)
    return {org: {str(number): _order(org, number) for number in span} for org, span in spans}


def stacks() -> dict[str, Item]:
    """Cloud 66 stacks by uid."""
    names = (("shop-web", "production"), ("shop-api", "production"), ("shop-web", "staging"))
    uids = ("5999b763474b0eafa5fafb64bff0ba80", "0a2f4d0e6b8c4f0f9d6c1b7e3a5d9c21", "c1e8d7f6a5b44c3d92e1f0a9b8c7d6e5")
    return {
        uid: {
            "uid": uid,
            "name": name,
            "git": f"https://git.example.com/{name}.git",
            "git_branch": "main",
            "environment": environment,
            "cloud": "ExampleCloud",
            "fqdn": f"{name}-{environment}.example.net",
            "language": "ruby",
            "framework": "rails",
            "status": 1,
            "health": 3,
            "created_at": _day(place),
            "updated_at": _day(place + 40),
        }
        for place, (uid, (name, environment)) in enumerate(zip(uids, names, strict=True))
    }


def chains() -> dict[str, Item]:
    """OneCloud chains by id."""
    names = ("Load actuals", "Close month", "Refresh forecast", "Export ledger", "Notify owners")
    return {
        str(number): {"id": number, "name": name, "status": "enabled", "workspaceId": 7, "created": _day(number)}
        for number, name in enumerate(names, start=301)
    }
