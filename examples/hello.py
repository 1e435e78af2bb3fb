"""Show every number of a network that reads "h e l l" and learns to say "e l l o".

The network of the textbooks, without biases, in their symbols:

    h_t = tanh(W_xh x_t + W_hh h_(t-1))    x_t is one-hot, h_0 is 0
    y_t = W_hy h_t                         logits of the next letter
    p_t = softmax(y_t)                     L_t = -log p_t[the next letter]

The loss is the sum of the L_t. Back-propagation through time gives what every step adds to the
gradient of W_hh; with --out it is drawn, too. After one update of gradient descent the loss is
smaller.
"""

import argparse
import sys
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
import viz
from engine import Tensor
from examples.task import Result, begin, finish, fitted, result, settled, task_parser

WEIGHTS = ("W_xh", "W_hh", "W_hy")


class Hello(rnn.Module):
    """Map x (T, 1, V) to the hidden values (T, 1, H) and the logits (T, 1, V)."""

    def __init__(self, V: int, H: int) -> None:
        self.W_xh = rnn.parameter((H, V), 0.5, dtype="float64")
        self.W_hh = rnn.parameter((H, H), 0.5, dtype="float64")
        self.W_hy = rnn.parameter((V, H), 0.5, dtype="float64")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def step(h: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
            h = engine.tanh(engine.linear(x_t, self.W_xh) + engine.linear(h, self.W_hh))
            return h, h

        h_0 = engine.zeros((1, self.W_hh.shape[0]), dtype="float64", device=x.device)
        _, h = engine.scan(step, h_0, x)
        return h, engine.linear(h, self.W_hy)


class Walk(NamedTuple):
    """Hold every number of a forward and a backward pass; T steps, V letters, H hidden values."""

    x: Any  # (T, V)
    h: Any  # (T, H)
    y: Any  # (T, V)
    p: Any  # (T, V)
    losses: Any  # (T,)
    dh: Any  # (T, H): dL/dh_t, of which
    direct: Any  # (T, H): dL_t/dh_t comes from the loss of the step itself, the rest from later
    shares: Any  # (T, H, H): what step t adds to dL/dW_hh
    gradients: dict[str, Any]
    loss: Any  # the sum of the losses, as it was recorded


def spelled(word: str) -> tuple[str, Any, Any]:
    """Return a word's letters in order, and as numbers: all but the last, all but the first."""
    letters = "".join(dict.fromkeys(word))
    ids = [letters.index(letter) for letter in word]
    return letters, np.array(ids[:-1]), np.array(ids[1:])


def slopes(loss: Any, places: list[Tensor]) -> list[Any]:
    """Return the gradient of a loss by each of its places, as arrays."""
    return [g.numpy() for g in engine.gradients(loss, places) if g is not None]


def walked(model: Hello, x: Any, targets: Any) -> Walk:
    """Take a forward and a backward pass, step by step, nothing left out."""
    H, device = model.W_hh.shape[0], model.W_hh.device
    h = engine.zeros((1, H), dtype="float64", device=device)
    uses, hidden, logits, losses = [], [], [], []
    for t, (x_t, target) in enumerate(zip(x, targets, strict=True), 1):
        W_hh = 1.0 * model.W_hh  # its own node at each step: a place to differentiate at
        with engine.scope(t=t, state="h"):
            read = engine.asarray(x_t[None], device=device)
            a = engine.linear(read, model.W_xh) + engine.linear(h, W_hh)
            h = engine.tanh(a)
        y = engine.linear(h, model.W_hy)
        uses.append(W_hh)
        hidden.append(h)
        logits.append(y)
        losses.append(engine.cross_entropy(y, [target]))
    weights = [getattr(model, name) for name in WEIGHTS]
    T, arrays = len(x), slopes(sum(losses), [*hidden, *uses, *weights])
    return Walk(
        x=x,
        h=np.concatenate([one.numpy() for one in hidden]),
        y=np.concatenate([one.numpy() for one in logits]),
        p=np.concatenate([engine.softmax(one).numpy() for one in logits]),
        losses=np.array([one.item() for one in losses]),
        dh=np.concatenate(arrays[:T]),
        direct=np.concatenate([slopes(L, [h])[0] for L, h in zip(losses, hidden, strict=True)]),
        shares=np.stack(arrays[T : 2 * T]),
        gradients=dict(zip(WEIGHTS, arrays[2 * T :], strict=True)),
        loss=sum(losses),
    )  # fmt: skip


def loss_of(model: Hello, batch: Any) -> Tensor:
    """Return the sum of the losses of all steps: the same passes, compiled."""
    x, targets = batch
    _, y = model(engine.asarray(x[:, None], device=model.W_hh.device))
    return engine.cross_entropy(y, targets[:, None], reduction="sum")


def run(options: argparse.Namespace) -> Result:
    """Make one update that is shown in full, and then as many as it takes."""
    began = begin(options)
    letters, inputs, targets = spelled(options.word)
    x = np.eye(len(letters))[inputs]
    model = Hello(len(letters), options.hidden).to(options.device)
    before = walked(model, x, targets)
    if options.out:
        story = viz.draw_story(before.loss, tokens=list(options.word[:-1]))
        story.render(options.out / "story.svg")
    history = fitted(
        "hello",
        model,
        [(x, targets)],
        loss_of,
        optimizer=rnn.optim.SGD(model.parameters(), options.lr),
        steps=options.steps,
        progress=False,
        log=options.out and options.out / "log.jsonl",
        plot=options.out and options.out / "loss.png",
    )
    after = walked(model, x, targets)
    own = {
        "nats": float(after.losses.sum()),
        "before": float(before.losses.sum()),
        "after one update": history.losses[1] if len(history.losses) > 1 else after.losses.sum(),
        "letters right": float((after.p.argmax(axis=1) == targets).mean()),
    }
    curve = [[record.step - 1, record.loss] for record in history.steps]
    figures = {name: float(value) for name, value in own.items()}
    return result("hello", options, began, figures, history, curve)


# ---- telling it


def told(name: str, values: Any) -> str:
    """Return a matrix as text with its name, a row a line."""
    rows = [" ".join(f"{value:8.4f}" for value in row) for row in np.atleast_2d(values)]
    heads = [name, *[""] * (len(rows) - 1)]
    return "\n".join(f"    {head:10} {row}" for head, row in zip(heads, rows, strict=True))


def show(options: argparse.Namespace) -> None:
    """Print all numbers of the first update."""
    engine.seed(options.seed)
    letters, inputs, targets = spelled(options.word)
    model = Hello(len(letters), options.hidden)
    walk = walked(model, np.eye(len(letters))[inputs], targets)
    print(f"letters: {' '.join(letters)}; {options.hidden} hidden values; the weights:")
    for name in WEIGHTS:
        print(told(name, getattr(model, name).numpy()))
    for t, (i, j) in enumerate(zip(inputs, targets, strict=True)):
        print(f"\nt = {t + 1}: reads {letters[i]!r}, should say {letters[j]!r}")
        print(told("h", walk.h[t]))
        print(f"    {'':10} " + " ".join(f"{letter!r:>8}" for letter in letters))
        print(told("x, one-hot", walk.x[t]))
        print(told("y, logits", walk.y[t]))
        print(told("p, softmax", walk.p[t]))
        print(f"    L_{t + 1} = -log p[{letters[j]!r}] = {walk.losses[t]:.4f}")
    print(f"\nL = {' + '.join(f'{one:.4f}' for one in walk.losses)} = {walk.losses.sum():.4f}")
    print("\nback through time, from the last step to the first:")
    for t in reversed(range(len(inputs))):
        print(f"\nt = {t + 1}: dL/dh_{t + 1}, through its own loss and through the steps after it, "
              f"and\nwhat this step adds to dL/dW_hh, which is dL/da_{t + 1} h_{t}^T "
              f"with dL/da = (1 - h^2) dL/dh")  # fmt: skip
        print(told("own loss", walk.direct[t]))
        print(told("later", walk.dh[t] - walk.direct[t]))
        print(told("dL/dh", walk.dh[t]))
        print(told("share", walk.shares[t]))
    print("\nthe shares add up to dL/dW_hh; with the others:")
    for name in reversed(WEIGHTS):
        print(told(f"dL/d{name}", walk.gradients[name]))


def tell(options: argparse.Namespace) -> None:
    show(options)
    own = run(options)["figures"]
    print(
        f"\none update, W <- W - {options.lr:g} dL/dW: the loss falls from {own['before']:.4f} to "
        f"{own['after one update']:.4f};\nafter {options.steps} updates it is {own['nats']:.4f}, "
        f"and {own['letters right']:.0%} of the letters are right"
    )


def main(arguments: list[str] | None = None) -> int:
    """Show the numbers, then train. Returns the exit status."""
    return finish("hello", lambda: tell(parse(arguments)))


def word_of(text: str) -> str:
    """Parse a word of at least two letters, for argparse."""
    if len(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} has fewer than two letters")
    return text


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("hello", __doc__)
    add, number = parser.add_argument, parser.number
    add("--word", type=word_of, default="hello", help="another word to spell (hello)")
    number("--hidden", default=3, help="hidden values")
    number("--steps", default=200, help="updates")
    number("--lr", default=0.1, help="of gradient descent")
    return settled(parser, arguments, {"steps": 100})


if __name__ == "__main__":
    sys.exit(main())
