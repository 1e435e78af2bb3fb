"""Provide one browser for all tests of pictures: to start one costs more than most of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Yield a browser for the tests of this folder; skip them, with the reason, without one."""
    with chromium() as opened:
        yield opened
