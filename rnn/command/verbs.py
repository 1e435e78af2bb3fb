"""Train, resume, sample and evaluate: the verbs of the language model."""

import argparse
import math
import os
import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import engine
import rnn.optim
from rnn.command.language import (
    described,
    in_units,
    loss,
    made,
    nats,
    opened,
    schedule,
    streams,
    trained,
    units,
    vocabulary,
    watching,
)
from rnn.command.saying import say
from rnn.command.texts import cut, digest, shown, text_of, vocabulary_of
from rnn.data.streams import Streams
from rnn.data.tokenizers import words
from rnn.distributed import Communicator, found
from rnn.distributed.agreement import by_first
from rnn.training import Checkpoints, History, fit

PART = 1 << 20  # indices that are looked at together
WORST = 2.0  # times the cost of guesses among all tokens: what costs more has diverged
UNKNOWN = "\ufffd"  # what a character that the vocabulary has not is shown as


def train(options: argparse.Namespace) -> int:
    """Learn from a text."""
    device = _device(options.device, ranks := found())
    embedding = options.embedding or options.hidden
    if options.tie and embedding != options.hidden:
        raise ValueError(f"--tie: --embedding {embedding} and --hidden {options.hidden} differ")
    by_first(ranks, lambda: _check_new(options.out))
    tokens = vocabulary_of(options.text, options.level, options.min_count, options.held_out,
                           encoding=options.encoding)  # fmt: skip
    own = {name: x for name, x in vars(options).items() if name not in ("verb", "out", "min_count")}
    config = own | {
        "vocabulary": described(tokens), "embedding": embedding, "device": device,
        "text": str(Path(options.text).absolute()), "sha256": digest(options.text),
    }  # fmt: skip
    return _run(config, options.out, options.text, options.steps, device, ranks)


def _check_new(out: str) -> None:
    """Raise ValueError for a folder that is in use, with what to do where it is that of a run."""
    path = Path(out)
    if Checkpoints(path / "checkpoints").numbers():
        raise ValueError(
            f"{out}: there is a run in it already; go on with it by python -m rnn resume {out}, "
            "or give a new folder"
        )
    if path.exists() and (not path.is_dir() or os.listdir(path)):
        raise ValueError(f"{out} is there already; give a new folder")


def _device(name: str, ranks: Communicator | None = None) -> str:
    """Return a device, that of this rank. Raises ValueError that names the option."""
    try:
        return engine.device(name) if ranks is None else ranks.device(name)
    except (ValueError, RuntimeError, ImportError) as error:
        raise ValueError(f"--device: {error}") from error


def _own_text(config: Mapping[str, Any], folder: str, remedy: str) -> str:
    """Return where the text of a run is. Raises ValueError where it is no longer there."""
    path: str = config["text"]
    if not Path(path).exists():
        raise ValueError(
            f"{path}: the text that {folder} was begun with is no longer there; {remedy}"
        )
    return path


def _check_same(path: str, config: Mapping[str, Any], folder: str) -> None:
    """Raise ValueError for a text that is another now; packed or not makes it another, too."""
    if digest(path) != config["sha256"]:
        raise ValueError(
            f"{path} is not the text that {folder} was begun with; give that file by --text"
        )


def resume(options: argparse.Namespace) -> int:
    """Go on with what train has begun."""
    config = opened(options.folder).state["config"]
    path = options.text or _own_text(config, options.folder, "say where it is now by --text")
    _check_same(path, config, options.folder)
    ranks, name = found(), config["device"]
    if ranks is not None:
        name = name.partition(":")[0]  # that of the first rank was written
    device = _device(options.device or name, ranks)
    steps = options.steps or config["steps"]
    return _run(config, options.folder, path, steps, device, ranks, resume=True)


def _run(
    config: Mapping[str, Any],
    out: str,
    path: str,
    steps: int,
    device: str,
    ranks: Communicator | None,
    *,
    resume: bool = False,
) -> int:
    """Train from the start or from where it stopped, and say how it went."""
    tokens, folder = vocabulary(config), Path(out)
    whole = text_of(path, config["level"], tokens, encoding=config.get("encoding", "utf-8"))
    learnt, held_out = cut(whole, config["held_out"])
    batch, length = config["batch"], config["length"]
    if len(learnt) <= batch:
        raise ValueError(
            f"{path}: {len(learnt):,} {config['level']}s to learn from are too few for --batch "
            f"{batch}; lower it or --held-out, or give a longer text"
        )
    data = Streams(learnt, batch_size=batch, steps=length)
    model = made(config, device)
    if first := ranks is None or not ranks.rank:
        _say_what(config, len(learnt), len(tokens), model)

    validates = len(held_out.ids) > 1
    history = fit(
        model,
        data,
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), config["lr"]),
        steps=steps,
        validation=streams(held_out.ids, batch, length) if validates else None,
        metrics=units(len(held_out.ids), held_out.characters) if validates else None,
        validate_every=config["validate_every"] if validates else None,
        validation_steps=config.get("validate_steps") if validates else None,
        patience=config["patience"] if validates else None,
        restore_best=True if validates else None,
        monitor="loss" if validates else None,
        clip_norm=config["clip"],
        schedule=schedule(config),
        carry=True,
        log=folder / "log.jsonl",
        plot=folder / "loss.png",
        checkpoint=folder / "checkpoints",
        every=config["save_every"],
        resume=resume,
        config=dict(config),
        callbacks=watching(config, folder, data),
        distributed=ranks,
    )
    if first:
        _say_how(history, out, len(tokens))
    return 0


def _say_what(config: Mapping[str, Any], learnt: int, tokens: int, model: Any) -> None:
    weights = sum(x.size for x in model.parameters())
    kind = config["level"]
    say(f"learning from {learnt:,} {kind}s, {tokens:,} different ones; {weights:,} parameters")


def _say_how(history: History, out: str, tokens: int) -> None:
    """Say where the run is and what it has come to."""
    done = history.steps[-1].step if history.steps else 0
    if history.interrupted:
        say(f"stopped after {done:,} steps; go on with: python -m rnn resume {out}")
        return
    say(f"{done:,} steps done ({history.stopped}); written to {out}")
    if history.best is not None:
        say(f"held-out text, after {history.best.step:,} steps: {_told(history.best.metrics)}")
    costs = [one.metrics["loss"] for one in history.validations] or history.losses
    if costs and not costs[-1] <= WORST * math.log(max(tokens, 2)):
        say("the run has diverged: it ends far worse than guesses; begin again with a lower --lr")


def _told(costs: Mapping[str, float]) -> str:
    cost, bits, perplexity = (costs[x] for x in ("loss", "bits_per_character", "perplexity"))
    few = perplexity < 1e6  # of more all digits say nothing
    return (
        f"{cost:{'.4f' if few else '.4g'}} nats each, {bits:{'.4f' if few else '.4g'}} bits per "
        f"character, perplexity {perplexity:{'.2f' if few else '.3g'}}"
    )


def sample(options: argparse.Namespace) -> int:
    """Write text as it is drawn."""
    checkpoint = opened(options.folder)
    config = checkpoint.state["config"]
    level, tokens = config["level"], vocabulary(config)
    model = trained(checkpoint, _device(options.device or config["device"]), last=options.last)
    engine.seed(options.seed)
    given = list(options.prompt) if level == "character" else words(options.prompt)
    if unknown := [token for token in dict.fromkeys(given) if token not in tokens]:
        warnings.warn(f"--prompt: the model does not know {', '.join(map(repr, unknown))}",
                      stacklevel=2)  # fmt: skip
    start = "\n" if level == "character" else tokens.specials["eos"]
    silent = [start if start in tokens else tokens.tokens[-1]]
    drawn = model.generate(
        tokens.encode(given or silent),
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        key=("sample",),
    )
    begun = bool(given)
    say(shown(given, level, False), end="")
    for index in islice(drawn, options.count):
        token = tokens.token(index)
        if level == "character" and index == tokens.unk:
            token = UNKNOWN
        say(shown([token], level, begun), end="")
        begun = token != start
    say()
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Say what a text costs."""
    checkpoint = opened(options.folder)
    config = checkpoint.state["config"]
    tokens = vocabulary(config)
    moved = "give another by --text, which is read as a whole"
    path = options.text or _own_text(config, options.folder, moved)
    encoding = options.encoding or config.get("encoding", "utf-8")
    text = text_of(path, config["level"], tokens, encoding=encoding)
    if options.text is None:
        _check_same(path, config, options.folder)
        text = cut(text, config["held_out"])[1]
    if len(text.ids) < 2:
        raise ValueError(f"{path}: {len(text.ids)} {config['level']}s are too few to evaluate on")
    model = trained(checkpoint, _device(options.device or config["device"]), last=options.last)
    cost, count = nats(model, text.ids, options.batch, config["length"])
    say(_told(in_units(cost, len(text.ids), text.characters)))
    unknown = sum(_unknown(text.ids, start, tokens.unk) for start in range(0, len(text.ids), PART))
    told = f", {unknown / len(text.ids):.1%} of them unknown, counted as <unk>" if unknown else ""
    say(f"{count:,} {config['level']}s of {path}{told}")
    return 0


def _unknown(ids: Any, start: int, unk: int | None) -> int:
    """Return how many of some indices stand for what the vocabulary has not."""
    return int((ids[start : start + PART] == unk).sum())
