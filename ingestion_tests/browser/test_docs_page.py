"""The API reference in a browser: it works without any other host."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from ingestion_tests.servers.stack import Stack


def test_the_reference_lists_the_endpoints_and_asks_no_other_host(page: Page, stack: Stack) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{stack.url}/docs")
    expect(page.get_by_text("Execute Pipeline").first).to_be_visible()
    expect(page.get_by_text("/sources/test-connection").first).to_be_visible()
    assert [url for url in asked if not url.startswith((stack.url, "data:", "blob:"))] == []


def test_an_endpoint_can_be_tried_with_a_token(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/docs")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container input").first.fill(stack.token("read_only"))
    page.locator(".auth-btn-wrapper button.authorize").click()
    page.locator(".auth-btn-wrapper button.btn-done").click()
    page.get_by_text("/sources/types").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("button.execute").click()
    expect(page.get_by_text("Supported source types retrieved successfully").first).to_be_visible()
