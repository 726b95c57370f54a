"""Headless Chromium, as installed on the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

# No sandbox, since tests may run as root; no chatter with hosts the tests have nothing to do with.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for this folder only: while it lives, no other test can run an event loop of its own."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    assert program is not None, f"the browser tests need one of {', '.join(PROGRAMS)}"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page. An error in one of its scripts or in a GraphQL answer fails the test."""
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.set_default_timeout(90_000)
    expect.set_options(timeout=90_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("response", lambda response: errors.extend(graphql_errors(response)))
    yield opened
    opened.close()
    assert errors == []


def graphql_errors(response: Response) -> list[str]:
    """The errors of a GraphQL answer; of any other answer, and of one that the page did not wait for, none."""
    if not response.url.endswith("/graphql") or response.request.method != "POST":
        return []
    try:
        return [error["message"] for error in response.json().get("errors", ())]
    except PlaywrightError:  # The page went elsewhere meanwhile.
        return []
