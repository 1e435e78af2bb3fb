"""Open pages in a real Chromium that refuses them everything else, for the tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# The pages are those of tests alone: they may be shown one after another in the same process.
ARGUMENTS = ["--no-sandbox", "--disable-features=SitePerProcess,RenderDocument"]

# Of each browser the pages that wait for a next visit, by their options: to make a page costs more
# than what most tests do on it.
_waiting: dict[Any, dict[str, "Visit"]] = {}


class Visit:
    """Hold an open page: its errors are in `faults`, the addresses it asked for in `requests`."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.begin("")

    def begin(self, url: str) -> None:
        """Forget what was heard of the page before."""
        self.url = url
        self.faults: list[str] = []
        self.requests: list[str] = []

    def leave(self, options: dict[str, Any]) -> None:
        """Leave the page as a new one is: empty, under no pointer, in the light of its options."""
        self.page.mouse.move(-1, -1)
        self.page.emulate_media(color_scheme=options.get("color_scheme", "light"))
        self.page.goto("about:blank")

    def watch(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.route("**/*", self._gate)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _gate(self, route: Any) -> None:
        if route.request.url == self.url:
            route.continue_()
        else:
            route.abort()

    def __call__(self, script: str) -> Any:
        """Return the value of a JavaScript expression on the page."""
        return self.page.evaluate(script)


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser for as long as the block lasts; skip the test where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            _waiting.pop(browser, None)
            browser.close()


@contextmanager
def visit(browser: Any, text: str, folder: Path, **options: Any) -> Iterator[Visit]:
    """Show a page and leave it again; at the end there must be no fault and no request."""
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    options = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
    waiting, kind = _waiting.setdefault(browser, {}), repr(sorted(options.items()))
    opened = waiting.pop(kind, None) or _opened(browser, options)
    opened.begin(path.as_uri())
    try:
        opened.page.goto(opened.url)
        yield opened
        assert opened.faults == []
        assert opened.requests == [opened.url]
        opened.leave(options)
    except BaseException:
        opened.page.context.close()
        raise
    waiting[kind] = opened


def _opened(browser: Any, options: dict[str, Any]) -> Visit:
    opened = Visit(browser.new_context(**options).new_page())
    opened.watch()
    return opened
