"""Test the page for users of JAX: each row and block of it runs, and both sides agree."""

from typing import Any

import pytest

from tests.docs.two_sides import assert_alike, names_of, read

TEXT, BLOCKS, ROWS = read("coming_from_jax.md")
OF_JAX, OURS, STATES_OF_JAX, STATES = BLOCKS


def jax_names() -> dict[str, Any]:
    pytest.importorskip("jax")
    return names_of(OF_JAX)


def test_the_page_has_its_rows():
    cells = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert len(cells) == len(ROWS) > 25


@pytest.mark.parametrize(("jax_way", "our_way"), ROWS, ids=[row[1] for row in ROWS])
def test_our_side_runs(jax_way, our_way):
    eval(our_way, names_of(OURS))


@pytest.mark.parametrize(("jax_way", "our_way"), ROWS, ids=[row[0] for row in ROWS])
def test_both_sides_agree(jax_way, our_way):
    theirs = eval(jax_way, jax_names())
    assert_alike(eval(our_way, names_of(OURS)), theirs)


def test_dataclasses_as_states_and_parameters():
    names = names_of(OURS)
    exec(STATES, names)
    assert [x.shape for x in names["found"]] == [(3,), (3,), (2, 3), (3,), (3,)]
    theirs = jax_names()
    exec(STATES_OF_JAX, theirs)
    assert_alike(names["found"], theirs["found"])
