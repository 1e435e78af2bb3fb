"""Record the losses of some tokens, step by step, for the pictures of language models.

Below the examples that draw, above `engine` and `viz`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine
import viz
from engine import Tensor


def losses_over_time(
    advance: Callable[[Tensor, Any], tuple[Tensor, Any]],
    ids: Any,
    start: int,
    symbol: Callable[[int], str],
    *,
    device: str = "numpy",
    named: Callable[[Any], Any] = lambda state: state,
) -> list[Tensor]:
    """Return the losses of the tokens of `ids` after `start`, one a step, each in its time scope.

    ``advance(id, state)`` gives the logits (1, V) of the next token, and the state. It comes from
    the tokens before, as in use, and begins the graph as ``named(state)``; `symbol` writes a token.
    """
    state, losses = None, []
    with engine.no_grad():
        for i in ids[:start]:
            _, state = advance(engine.asarray([i], device=device), state)
    if state is not None:
        state = named(state)
    for t, (i, j) in enumerate(zip(ids[start:-1], ids[start + 1 :], strict=True)):
        with engine.scope(t=t):
            x = engine.asarray([i], device=device, name=f"x = {symbol(i)!r}")
            logits, state = advance(x, state)
            y = engine.asarray([j], device=device, name=f"y = {symbol(j)!r}")
            with engine.scope("loss"):
                losses.append(engine.cross_entropy(logits, y))
    return losses


def draw_language_model(losses: list[Tensor], out: Path) -> None:
    """Write how far the gradient of the last loss reaches, and its way and that of all losses."""
    viz.draw_story(losses[-1]).render(out / "story.svg")
    with engine.scope("total"):
        total = engine.mean(engine.stack(losses))
    for name, x, told in (("last", losses[-1], "the last loss"), ("all", total, "all losses")):
        title = f"Language model: the gradient of {told}, travelling back"
        viz.draw_gradients(x, title=title).render(out / f"{name}.svg")
