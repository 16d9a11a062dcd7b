"""One browser for all tests of pages."""

import pytest

from tests.viz.stepper import pages


@pytest.fixture(scope="session")
def browser():
    if pages.CHROMIUM is None:
        pytest.skip(
            "no Chromium at /usr/bin/chromium: install it (apt-get install chromium) to test the stepper's page"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(pages.CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()
