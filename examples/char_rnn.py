"""Train a character model by back-propagation through time, then look inside.

It reads the documentation of the Python language, or any text file, prints what held-out text costs
in bits per character, and draws the trained network and the way its gradients travel back.
"""

import argparse
import math
import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

import engine
import rnn
import viz
from engine import Tensor
from examples.command import Parser, folder, positive, seed, whole
from examples.data import documentation
from examples.installed.bptt.pictures import losses_over_time
from examples.layers import LAYERS, NAMED, NAMES
from examples.plots import plot_loss
from examples.task import finish, settled
from examples.text import Text
from rnn.data import Chunk, Streams, read_text

TEMPERATURES = (0.5, 1.0)
DRAWN = 8  # characters in the pictures
STORY = 14  # characters in the picture of how far a gradient reaches


class CharRNN(rnn.Module):
    """Embedding -> recurrent layer -> linear: logits of the next character."""

    def __init__(self, kind: str, vocabulary: int, hidden: int) -> None:
        self.kind = kind
        self.embedding = rnn.Embedding(vocabulary, hidden)
        self.recurrent = LAYERS[kind](hidden, hidden)
        self.head = rnn.Linear(hidden, vocabulary)

    def forward(self, ids: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Map ids (T, B) to logits (T, B, V) and the state."""
        y, state = self.recurrent(self.embedding(ids), state)
        return self.head(y), state

    def step(self, ids: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Take one time step: ids (B,) -> logits (B, V), with the cell's own state."""
        x = self.embedding(ids)
        with engine.scope(self.kind):
            y, state = self.recurrent.cell.forward(x, state)
        return self.head(y), state


def detached(state: Any) -> Any:
    """Return the state as a constant: the gradient ends at the border of a chunk."""
    return state.detach() if isinstance(state, Tensor) else tuple(s.detach() for s in state)


class Training:
    """Run the loop over chunks, keep its metrics, and stop at any time."""

    def __init__(self, model: CharRNN, text: Text, options: argparse.Namespace) -> None:
        self.model, self.text, self.options = model, text, options
        self.optimizer = rnn.optim.Adam(model.parameters(), options.lr)
        self.losses: list[float] = []
        self.interrupted = False

    def run(self) -> None:
        """Train until the updates, epochs or seconds are over, or Ctrl-C."""
        options = self.options
        per_epoch = (len(self.text.train) - 1) // options.batch // options.T
        limit = options.epochs * per_epoch if options.epochs else options.updates
        if options.seconds:
            limit = None
        began = time.monotonic()
        state: Any = None
        with tqdm(total=limit, unit="update", disable=None, dynamic_ncols=True) as bar:
            try:
                for x, y, carry, _ in islice(self._forever(), limit):
                    loss, norm, state = self.update(x, y, state if carry else None)
                    rate = len(self.losses) * x.size / (time.monotonic() - began)
                    bar.set_postfix_str(
                        f"loss {loss:.3f}, {loss / math.log(2):.3f} bits/char, "
                        f"{rate:,.0f} chars/s, gradient norm {norm:.2f}"
                    )
                    bar.update()
                    if options.seconds and time.monotonic() - began >= options.seconds:
                        break
            except KeyboardInterrupt:
                self.interrupted = True

    def _forever(self) -> Iterator[Chunk]:
        options = self.options
        chunks = Streams(self.text.train, batch_size=options.batch, steps=options.T, drop_last=True)
        while True:
            yield from chunks

    def update(self, x: Any, y: Any, state: Any) -> tuple[float, float, Any]:
        """Take one step of truncated back-propagation through time."""
        device = self.options.device
        logits, state = self.model(engine.asarray(x, device=device), state)
        loss = engine.cross_entropy(logits, engine.asarray(y, device=device))
        self.optimizer.zero_grad()
        loss.backward()
        norm = rnn.clip_grad_norm(self.optimizer.parameters, self.options.clip)
        self.optimizer.step()
        self.losses.append(loss.item())
        return self.losses[-1], float(norm), detached(state)


def evaluate(model: CharRNN, ids: Any, options: argparse.Namespace) -> float:
    """Return bits per character on a text, from its first to its last whole chunk."""
    batch = max(1, min(options.batch, (len(ids) - 1) // options.T))
    total, count, state = 0.0, 0, None
    with engine.no_grad():
        for x, y, *_ in Streams(ids, batch_size=batch, steps=options.T, drop_last=True):
            logits, state = model(engine.asarray(x, device=options.device), state)
            total += engine.cross_entropy(logits, y, reduction="sum").item()
            count += y.size
    return total / count / math.log(2)


def sample_text(model: CharRNN, text: Text, temperature: float, length: int = 600) -> str:
    """Text that the model writes, after "The " or what the text has of these letters."""
    device = model.head.weight.device
    prompt = [text.symbols.index(c) for c in "The " if c in text.symbols] or [0]

    def advance(index: int, state: Any) -> tuple[Tensor, Any]:
        logits, state = model.step(engine.asarray([index], device=device), state)
        return logits[0], state

    drawn = rnn.generate(advance, prompt, temperature=temperature, key=(temperature,))
    return "".join(text.symbols[i] for i in islice(drawn, length))


def word_after(text: Text, start: int) -> int:
    """Return the place of the first held-out word from `start` on that fills the pictures.

    It is `start` where there is none with STORY characters and the next one from its place on.
    """
    held_out = "".join(text.symbols[i] for i in text.held_out)
    found = re.compile(rf"\b[^\W\d_]{{{DRAWN + 1},}}").search(held_out, start)
    return found.start() if found and found.start() < len(held_out) - STORY else start


def named(model: CharRNN, state: Any) -> Any:
    """Return the state with the names that the pictures show: h0, c0."""
    names = [f"{name}0" for name in model.recurrent.cell.state_size]
    if isinstance(state, Tensor):
        return engine.asarray(state.data, name=names[0])
    return tuple(engine.asarray(s.data, name=n) for s, n in zip(state, names, strict=True))


def draw(model: CharRNN, text: Text, options: argparse.Namespace, out: Path) -> None:
    """Write the diagrams of the trained model on a held-out word, with the state before it."""
    start = word_after(text, min(options.T, len(text.held_out) - STORY - 1))

    def losses_of(steps: int) -> list[Tensor]:
        return losses_over_time(
            model.step, text.held_out[: start + steps + 1], start, text.symbols.__getitem__,
            device=model.head.weight.device, named=partial(named, model),
        )  # fmt: skip

    losses, (first,) = losses_of(DRAWN), losses_of(1)
    with engine.scope("total"):
        total = engine.mean(engine.stack(losses))
    name = type(model.recurrent.cell).__name__.removesuffix("Cell")
    diagrams = {
        "story": viz.draw_story(losses_of(STORY)[-1]),
        "rolled": viz.draw_rolled(total, title=f"{name} character model"),
        "unrolled": viz.draw_unrolled(total, title=f"{name} unrolled over held-out text"),
        "unrolled_ops": viz.draw_unrolled(
            first, level="op", title=f"{name}, every operation of a step"
        ),
        "gradients": viz.draw_gradients(
            total, title=f"{name}: the gradient of all losses, travelling back"
        ),
        "gradients_last": viz.draw_gradients(
            losses[-1], title=f"{name}: how far the gradient of the last loss reaches back"
        ),
        "gradients_ops": viz.draw_gradients(
            first, level="op", title=f"{name}: the gradient of one loss, op by op"
        ),
    }
    for file, diagram in diagrams.items():
        diagram.render(out / f"{file}.svg")


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, sample, save, draw. Returns the exit status."""
    return finish("char_rnn", lambda: run(parse(arguments)))


def run(options: argparse.Namespace) -> None:
    """Do the whole job; what is wrong with the options is raised before anything is written."""
    text = Text.of(read(options))
    engine.device(options.device)
    out = folder(options.out)
    engine.seed(options.seed)
    model = CharRNN(options.cell, len(text.symbols), options.hidden).to(options.device)
    training = Training(model, text, options)
    print(
        f"training: {len(text.train):,} characters, {len(text.symbols)} symbols, "
        f"{sum(x.size for x in model.parameters()):,} parameters",
        flush=True,
    )
    training.run()
    if training.interrupted:
        print("stopped by Ctrl-C; writing what there is")
    tell(training, out)


def tell(training: Training, out: Path) -> None:
    """Measure, sample, save and draw what was trained."""
    model, text, options = training.model, training.text, training.options
    bits = evaluate(model, text.held_out, options)
    print(
        f"held-out text: {bits:.3f} bits per character after {len(training.losses):,} updates "
        f"(character frequencies alone: {text.baseline():.2f})"
    )
    samples = {f"{t:g}": sample_text(model, text, t) for t in TEMPERATURES}
    config = {
        "cell": options.cell,
        "hidden": options.hidden,
        "symbols": text.symbols,
        "updates": len(training.losses),
        "held_out_bits_per_character": bits,
        "seed": options.seed,
    }
    rnn.save(out / "model.safetensors", model, config)
    (out / "sample.txt").write_text(
        "\n\n".join(f"--- temperature {t} ---\n{words}" for t, words in samples.items()) + "\n",
        encoding="utf-8",
    )
    plot_loss(training.losses, bits, text.baseline(), out / "loss.png")
    draw(model, text, options, out)
    print(f"a sample at temperature {TEMPERATURES[0]:g}:\n")
    print("\n".join(f"    {line}" for line in samples[f"{TEMPERATURES[0]:g}"].splitlines()[:8]))
    print(f"\nwritten to {out}/: {', '.join(sorted(p.name for p in out.iterdir()))}")


def read(options: argparse.Namespace) -> str:
    """Read the text to learn from. Raises ValueError where it is too short for the sizes."""
    text = documentation() if options.text is None else read_text(options.text)
    name = options.text or "the documentation of Python"
    needed = max(math.ceil((options.T * options.batch + 1) / 0.9), 10 * (STORY + options.T + 1))
    if len(text) < needed:
        raise ValueError(
            f"{name} has only {len(text):,} characters; T = {options.T} and batch = "
            f"{options.batch} need {needed:,}"
        )
    return text


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = Parser(
        "char_rnn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, number = parser.add_argument, parser.number
    add("--text", metavar="FILE", help="a UTF-8 text, plain or .gz (Python's own documentation)")
    add("--cell", default="lstm", **NAMED, help=f"of the layer: {NAMES} (lstm)")
    number("--hidden", default=128, help="hidden units")
    number("-T", "--T", default=64, help="time steps of a chunk")
    number("--batch", default=32, help="parallel streams of text")
    number("--updates", default=2000, help="how many chunks to learn from")
    add("--epochs", type=whole, help="instead: how many times to read the text")
    add("--seconds", type=positive, help="instead: how long to train")
    number("--lr", default=3e-3, help="learning rate of Adam")
    number("--clip", default=1.0, help="largest gradient norm")
    add("--seed", type=seed, default=0, help="of weights and samples (0)")
    add("--fast", action="store_true", help="small sizes: a few seconds, only to see it run")
    add("--device", default="numpy", help="numpy, cupy or cupy:N; or cpu, cuda, cuda:N")
    add("--out", metavar="DIR", default="out", help="where everything is written (out)")
    return settled(parser, arguments, {"hidden": 64, "T": 32, "batch": 16, "updates": 200})


if __name__ == "__main__":
    sys.exit(main())
