"""Let examples in docstrings begin where the reader is: with `engine` imported."""

from importlib import import_module

import pytest


@pytest.fixture(autouse=True, scope="session")
def imported(doctest_namespace: dict[str, object]) -> None:
    """Give doctests the name `engine`."""
    doctest_namespace["engine"] = import_module("engine")
