"""Debian's Chromium, and people who use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=60_000)  # as long as a busy machine may take


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser, closed at the end."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield browser
        browser.close()


def visitor(chromium: Browser, language: str, width: int, *, javascript: bool) -> Page:
    """A page in a browser of somebody's own, which the test closes with its context."""
    context = chromium.new_context(
        locale=language,
        java_script_enabled=javascript,
        viewport={"width": width, "height": 800},
        bypass_csp=True,  # axe is put into the page, which its own policy forbids to everybody else
    )
    return context.new_page()


def sign_in(page: Page, base: str, login: str, password: str) -> None:
    """Sign in on the page of that."""
    page.goto(f"{base}/login")
    page.fill("#login", login)
    page.fill("#password", password)
    follow(page, "main button")


def follow(page: Page, where: str | Locator) -> None:
    """Click what leads to a page, and wait until that one is there: a click alone may leave us on the old one."""
    with page.expect_navigation():
        (page.locator(where) if isinstance(where, str) else where).click()
