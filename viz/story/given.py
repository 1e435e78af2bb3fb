"""Read what a picture is given: losses by network, and the words of its time axis, which else come
from the names of the inputs. Below the panels.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from engine import Graph, Tensor
from viz.checks import check_loss

Losses = Tensor | Mapping[str, Tensor] | Sequence[Tensor]
SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥"}


def networks_of(loss: Losses) -> dict[str, Tensor]:
    """Return the losses by name. Raises where one is none."""
    if isinstance(loss, Mapping):
        named = {str(name): x for name, x in loss.items()}
    elif isinstance(loss, Sequence):
        named = {f"network {i + 1}" if len(loss) > 1 else "": x for i, x in enumerate(loss)}
    else:
        named = {"": loss}
    if not named:
        raise ValueError("draw_story: no loss was given")
    for name, x in named.items():
        check_loss("draw_story", f"the loss of {name}" if name else "the loss", x)
    return named


def tokens_of(graph: Graph, times: Sequence[Any]) -> dict[Any, str]:
    """Return the token of each step where all steps have an input that names one: ``x = 'r'``.

    The first leaf of a step counts, and all steps must call it by one name.
    """
    found: dict[Any, str] = {}
    called: dict[str, None] = {}
    for node in graph.nodes:
        t = node.scope.labels.get("t")
        if node.inputs or t is None or t in found:
            continue
        name, sign, token = node.name.partition(" = ")
        if sign and token:
            found[t] = _read(token)
            called[name] = None
    return found if len(called) == 1 and all(t in found for t in times) else {}


def _read(token: str) -> str:
    """Return a token without its quotes, as it can be seen."""
    try:
        value = ast.literal_eval(token)
    except (ValueError, SyntaxError):
        return token
    return seen(value) if isinstance(value, str) else token


def seen(token: str) -> str:
    """Return a token as a reader can see it: white space by its signs, what has none in quotes.

    >>> [seen(token) for token in ("a", " ", "\\n", "\\0")]
    ['a', '␣', '↵', "'\\\\x00'"]
    """
    if token in SIGNS:
        return SIGNS[token]
    return token if token.strip() and token.isprintable() else repr(token)


def given_tokens(tokens: Sequence[str], times: Sequence[Any]) -> dict[Any, str]:
    """Return given tokens by step. Raises ValueError where there is not one for each."""
    if len(tokens) != len(times):
        raise ValueError(
            f"draw_story: expected a token for each of {len(times)} steps, got {len(tokens)}"
        )
    return {t: seen(str(token)) for t, token in zip(times, tokens, strict=True)}
