"""A real browser for tests: Debian's headless Chromium, driven through its own chromedriver, and nothing downloaded.

A test module says `pytest_plugins = ("tests.support.browser",)` and asks for `browser`. One Chromium serves the whole
run; each test gets a new tab, with cookies, storage and logs emptied. It reaches this machine only: `localhost`,
127.0.0.1, and every name below `.test`, so that a test can be on as many sites as it likes.

PYTEST_DONT_REWRITE: so that test modules may import from here as well, in any order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import need

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

PATIENCE = 15.0  # seconds for a page, a script, or what is waited for
ELEMENT_WITHIN = 5.0  # seconds
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--metrics-recording-only",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True)
class Request:
    """A request that the browser made, redirects too. `url` is what went out; the fragment stayed in the browser."""

    method: str
    url: str
    fragment: str
    headers: dict[str, str]


class Browser:
    """Chromium, for asyncio: each call runs in a thread and is bounded in time."""

    def __init__(self, driver: WebDriver) -> None:
        self._driver = driver
        self._console: list[str] = []
        self._requests: list[Request] = []

    async def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        await asyncio.to_thread(self._driver.get, url)

    async def url(self) -> str:
        """Where the tab is, fragment and all."""
        return await asyncio.to_thread(lambda: self._driver.current_url)

    async def source(self) -> str:
        """The page as HTML, as it stands now."""
        return await asyncio.to_thread(lambda: self._driver.page_source)

    async def text(self, css: str = "body") -> str:
        """What a person sees of an element; waits for it."""
        return str(await self._with(css, lambda element: element.text))

    async def count(self, css: str) -> int:
        """How many elements there are, without waiting for any."""
        return int(await self.script("return document.querySelectorAll(arguments[0]).length", css))

    async def click(self, css: str) -> None:
        """Click on an element; waits for it. Of the page behind it wait for something that only that page has."""
        await self._with(css, lambda element: element.click())

    async def fill(self, css: str, text: str) -> None:
        """Type into a field in place of what is in it."""

        def fill(field: WebElement) -> None:
            field.clear()
            field.send_keys(text)

        await self._with(css, fill)

    async def script(self, code: str, *arguments: object) -> Any:
        """Run the body of a function in the page, and give what it returns."""
        return await asyncio.to_thread(self._driver.execute_script, code, *arguments)

    async def until(self, condition: str, *arguments: object) -> None:
        """Wait until the body of a function returns something true, on whatever page the tab is by then."""
        end = time.monotonic() + PATIENCE
        while not await self.script(condition, *arguments):
            assert time.monotonic() < end, f"still not: {condition}; at {await self.url()}:\n{await self.source()}"
            await asyncio.sleep(0.05)

    async def cookies(self) -> list[dict[str, Any]]:
        """The cookies that this page's server set, those hidden from scripts too."""
        return await asyncio.to_thread(self._driver.get_cookies)

    async def windows(self) -> list[str]:
        """The handles of all tabs and windows."""
        return await asyncio.to_thread(lambda: list(self._driver.window_handles))

    async def switch(self, handle: str) -> None:
        """Go on in another tab or window."""
        await asyncio.to_thread(self._driver.switch_to.window, handle)

    async def history(self) -> int:
        """How many pages the back button knows, this one too."""
        return int(await self.script("return history.length"))

    async def visited(self) -> list[str]:
        """The addresses that the back button of this tab knows, fragments and all, this page's too."""
        known = await asyncio.to_thread(self._driver.execute_cdp_cmd, "Page.getNavigationHistory", {})
        return [entry["url"] for entry in known["entries"]]

    async def console(self) -> list[str]:
        """All that pages wrote to the console since the test began, and what the browser complained of there."""
        await asyncio.to_thread(self._read_logs)
        return list(self._console)

    async def requests(self) -> list[Request]:
        """All requests over HTTP since the test began. Of another window only what came after its first page."""
        await asyncio.to_thread(self._read_logs)
        return list(self._requests)

    def fresh(self) -> None:
        """Leave one new tab, and no cookie, no storage, no cache and no log."""
        old = self._driver.window_handles
        self._driver.switch_to.new_window("tab")
        new = self._driver.current_window_handle
        for handle in old:
            self._driver.switch_to.window(handle)
            self._driver.close()
        self._driver.switch_to.window(new)
        self._driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self._driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        self._driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
        self._read_logs()
        self._console.clear()
        self._requests.clear()

    async def _with(self, css: str, action: Callable[[WebElement], object]) -> object:
        """Do something with an element; once more where a new page took it away between finding and doing."""
        from selenium.common import StaleElementReferenceException  # noqa: PLC0415 - it may not be installed

        end = time.monotonic() + PATIENCE
        while True:
            try:
                return await asyncio.to_thread(lambda: action(self._driver.find_element("css selector", css)))
            except StaleElementReferenceException:
                if time.monotonic() > end:
                    raise

    def _read_logs(self) -> None:
        """Take over what is in the driver's logs, which forget what they gave."""
        self._console += [entry["message"] for entry in self._driver.get_log("browser")]
        for entry in self._driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] != "Network.requestWillBeSent":
                continue
            asked = event["params"]["request"]
            if asked["url"].startswith(("http:", "https:")):
                fragment = asked.get("urlFragment", "")
                self._requests.append(Request(asked["method"], asked["url"], fragment, asked["headers"]))


@contextlib.contextmanager
def chromium_in(folder: Path) -> Iterator[Browser]:
    """Run Chromium, with all that it writes in `folder`. Skips the test where something is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = need("chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'profile'}", f"--disk-cache-dir={folder / 'cache'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With both paths given selenium does not look for a browser, let alone fetch one.
    service = webdriver.ChromeService(
        executable_path=need("chromedriver"),
        log_output=str(folder / "chromedriver.log"),
        env={**os.environ, "HOME": str(folder), "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"},
    )
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        driver.implicitly_wait(ELEMENT_WITHIN)
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The one Chromium of the run."""
    folder = tmp_path_factory.mktemp("chromium")
    with chromium_in(folder) as browser:
        yield browser
    shutil.rmtree(folder, ignore_errors=True)  # a profile is tens of megabytes


@pytest.fixture
async def browser(chromium: Browser) -> Browser:
    """Chromium as if it had just been installed."""
    await asyncio.to_thread(chromium.fresh)
    return chromium
