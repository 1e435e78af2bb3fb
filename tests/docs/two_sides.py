"""Read and compare the pages for users of other libraries: a row or a block of each side.

A row of a table is ``| `theirs` | `ours` |``; both are expressions.
"""

import re
from typing import Any

import numpy as np

import engine
from tests import ROOT

HOWTO = ROOT / "docs" / "howto"


def read(name: str) -> tuple[str, list[str], list[tuple[str, str]]]:
    """Return the text of a page, its blocks of Python, and its rows."""
    text = (HOWTO / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return text, blocks, re.findall(r"^\| `(.+)` \| `(.+)` \|$", text, re.MULTILINE)


def names_of(block: str) -> dict[str, Any]:
    """Return the names that a block leaves."""
    engine.seed(0)
    names: dict[str, Any] = {}
    exec(block, names)
    return names


def plain(value: Any) -> Any:
    """Return tensors of either side as arrays, in any nesting."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    value = value.detach() if hasattr(value, "detach") else value
    return value.numpy() if hasattr(value, "numpy") else value


def assert_alike(ours: Any, theirs: Any) -> None:
    """Assert that two values are of one form, dtype kind and shape, and are the same numbers."""
    ours, theirs = plain(ours), plain(theirs)
    if isinstance(ours, np.ndarray) and isinstance(theirs, list):
        (theirs,) = theirs  # a tuple of one, as PyTorch's grad has it
    if isinstance(ours, list) and len(ours) == 1 and not isinstance(theirs, list):
        (ours,) = ours
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for own, other in zip(ours, theirs, strict=True):
            assert_alike(own, other)
    elif isinstance(ours, np.ndarray | float):
        assert np.shape(ours) == np.shape(theirs)
        assert np.asarray(ours).dtype.kind == np.asarray(theirs).dtype.kind
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    else:
        assert ours == theirs
