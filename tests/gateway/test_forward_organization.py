"""A credential's organization filled in as a request is forwarded, and doubted after 403 and 404."""

import asyncio

import pytest

from proxy.errors import OrganizationMissingError
from tests.support.gateway import INVALID, Answer, Bench, whole

ORDERS = "/api/v2/orgs/KEY/orders"
ME = "/rc/api/v2/orgs/@me/orders"
NONE = OrganizationMissingError("acme", "there is none")


@pytest.fixture
async def bench(tmp_path):
    return Bench(tmp_path)


async def forwarded(bench, *arguments):
    """Forward, be done with the response, and give its status and the targets that the vendor saw."""
    response = await bench.forward(*arguments)
    body = await whole(response.body)
    response.close()
    assert [1] * len(bench.vendor.given) == bench.closed()
    assert 0 == bench.spool.used
    return response.status, body, bench.vendor.targets


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        (ORDERS, "/orders"),
        (f"{ORDERS}/1?a", "/orders/1?a"),
        (f"{ORDERS}/{{org_pk}}?@me", "/orders/{org_pk}?@me"),
        (f"{ORDERS}?a", f"{ME}?a"),
    ],
)
async def test_request_to_an_organization(bench, expected, target):
    """Its key is filled in."""
    assert (200, b"fine", [expected]) == await forwarded(bench, "GET", target)
    assert (1, []) == (bench.organization.asked, bench.organization.doubted)


@pytest.mark.parametrize("target", ["/rc/api/v2/orgs/", "/rc/api/v2/orgs/x/", "/rc/{org_pk}"])
@pytest.mark.parametrize("status", [200, 404])
async def test_any_other_request(bench, target, status):
    """No organization is asked for, and none doubted."""
    bench.vendor.answers = [Answer(status)]
    await forwarded(bench, "GET", target)
    assert (0, []) == (bench.organization.asked, bench.organization.doubted)


@pytest.mark.parametrize("target", ["/orders", ME])
async def test_no_organization(bench, target):
    """Nothing is sent, and the caller is told why."""
    bench.organization.error = NONE
    with pytest.raises(OrganizationMissingError):
        await bench.forward("POST", target, b"x" * 50)
    assert ([], 0) == (bench.vendor.requests, bench.spool.used)


@pytest.mark.parametrize(
    ("status", "doubted"), [(403, True), (404, True), (200, False), (400, False), (410, False), (500, False)]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_answer_that_casts_doubt(bench, status, doubted, method):
    """The one that was used is doubted; the answer is the caller's, and the request is not sent again."""
    bench.vendor.answers = [Answer(status, b"it")]
    assert (status, b"it", [ORDERS]) == await forwarded(bench, method, "/orders")
    assert (["KEY"] if doubted else []) == bench.organization.doubted


async def test_replay(bench):
    """The organization is asked for anew: tokens that were imported meanwhile may open another."""
    bench.vendor.answers = [Answer(401, INVALID)]
    replace = bench.credential.replace

    async def imported(rejected):
        bench.organization.key = "NEW"
        return await replace(rejected)

    bench.credential.replace = imported
    expected = [ORDERS, ORDERS.replace("KEY", "NEW")]
    assert (200, b"fine", expected) == await forwarded(bench, "POST", "/orders")


@pytest.mark.parametrize(("status", "doubted"), [(404, ["KEY"]), (200, []), (401, [])])
async def test_answer_to_a_replay(bench, status, doubted):
    """It casts doubt as any other does."""
    bench.vendor.answers = [Answer(401, INVALID), Answer(status, b"it")]
    assert (status, b"it", [ORDERS, ORDERS]) == await forwarded(bench, "GET", ME)
    assert doubted == bench.organization.doubted


async def test_organization_that_is_gone_before_a_replay(bench):
    """The caller is told why, and nothing stays open."""
    bench.vendor.answers = [Answer(401, INVALID)]
    replace = bench.credential.replace

    async def imported(rejected):
        bench.organization.error = NONE
        return await replace(rejected)

    bench.credential.replace = imported
    with pytest.raises(OrganizationMissingError):
        await bench.forward("POST", "/orders", b"x" * 50)
    assert ([1], 0) == (bench.closed(), bench.spool.used)


@pytest.mark.parametrize(("place", "sends"), [("organization 1", 0), ("organization 2", 1)])
async def test_cancelled(bench, place, sends):
    """A caller who hangs up while the organization is found out leaves nothing open."""
    bench.vendor.answers = [Answer(401, INVALID)]
    bench.stop.at = place
    request = asyncio.create_task(bench.forward("POST", "/orders", b"x" * 50))
    await bench.stop.reached.wait()
    request.cancel()
    await asyncio.wait([request])
    assert request.cancelled()
    assert (sends, [1] * sends, 0) == (len(bench.vendor.requests), bench.closed(), bench.spool.used)
