"""Draw the model of a run that the command line has trained.

On the end of its text, which it has not learnt from, or on a text of the user's: how far the
gradient of the last loss reaches, the gradients of that loss and of all on their way back, how much
each token before moves the last logit (a page on which to choose another), the gates, and the
losses and gradient norms of the training. Above `pictures.py`, below `options.py`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import viz
from rnn.command.language import opened, trained, vocabulary
from rnn.command.saying import say
from rnn.data import Vocabulary, read_text, words

from .pictures import draw_language_model, losses_over_time


def tokens_of(text: str, level: str) -> list[str]:
    """Return the text as the model reads it."""
    if level == "character":
        return list(text)
    return [word for line in text.splitlines() for word in (*words(line), "<eos>")]


def read(options: argparse.Namespace, config: dict[str, Any], tokens: Vocabulary) -> Any:
    """Return the indices of the text. Raises ValueError for one that is too short."""
    text = options.text
    if text is None:
        text = read_text(config["text"], encoding=config.get("encoding", "utf-8"))[-(1 << 16) :]
    ids = tokens.encode(tokens_of(text, config["level"]))
    if len(ids) < 3:
        raise ValueError(f"{len(ids)} {config['level']}s are too few to draw; give at least 3")
    return ids[-(options.before + options.steps + 1) :]


def curves(log: Path) -> viz.Diagram:
    """Return the losses and gradient norms of a log."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if "loss" in line]
    return viz.draw_curves([x["loss"] for x in steps], [x["grad_norm"] for x in steps])


def look(options: argparse.Namespace) -> int:
    """Draw everything, and say where it is. Raises ValueError for a text that is too short."""
    found = opened(options.folder)
    config = found.state["config"]
    tokens, out = vocabulary(config), options.out
    model = trained(found, "numpy", last=False)
    ids = read(options, config, tokens)
    out.mkdir(parents=True, exist_ok=True)
    losses = losses_over_time(
        model.advance, ids, max(0, len(ids) - options.steps - 1), tokens.token
    )
    draw_language_model(losses, out)
    viz.draw_gates(losses[-1]).render(out / "gates.svg")
    read_tokens = [tokens.token(i) for i in ids[:-1]]
    viz.draw_influence(model, read_tokens, vocabulary=tokens).render(out / "influence.html")
    curves(options.folder / "log.jsonl").render(out / "curves.svg")
    say(f"written to {out}: story.svg, last.svg, all.svg, gates.svg, influence.html, curves.svg")
    return 0
