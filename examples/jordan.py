"""Train a recurrence from the output alone with all steps at once, then let it run free.

Data, generated: a needle on a dial, y = (cos a, sin a), turned at every step by an angle x that
stays for a while and then jumps to another. A Jordan network is told x and its own last output.
While it trains the output is known, so it is fed the truth (teacher forcing), no step waits for
another and a sequence is one step of T * B rows. In use it is fed what it has said itself, and its
errors add up. Training on its own outputs as well, step after step, narrows that gap.

Source: Jordan, Serial order: a parallel distributed processing approach, 1986; teacher forcing in
parallel over time as in Goodfellow, Bengio and Courville, Deep learning, 2016, section 10.2.1.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from engine import Tensor
from examples.data import fresh
from examples.task import (
    Result,
    begin,
    finish,
    fitted,
    outputs,
    result,
    resumable,
    settled,
    task_parser,
    validated,
)
from rnn.models import OutputRecurrent
from rnn.training import History

EVERY = 20  # validations of a run
JUMP = 0.1  # the probability that the angle changes at a step
LARGEST = 0.5  # the largest angle of a step, in radians


class Turns(NamedTuple):
    """Hold angles x (T, B, 1), needles y (T, B, 2) after them, and their start, first (B, 2)."""

    x: Any
    y: Any
    first: Any


# ---- data


def turns(T: int, B: int, *key: Any) -> Turns:
    """B sequences, fixed by the seed and the key."""
    draw = engine.random.generator("jordan", *key)
    fresh = draw.uniform(-LARGEST, LARGEST, (T, B))
    jumps = draw.random((T, B)) < JUMP
    jumps[0] = True
    latest = np.maximum.accumulate(np.where(jumps, np.arange(T)[:, None], 0), axis=0)
    x = np.take_along_axis(fresh, latest, axis=0)
    angles = draw.uniform(0, 2 * np.pi, B) + np.cumsum(
        np.concatenate([np.zeros((1, B)), x]), axis=0
    )
    needles = np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)
    return Turns(x[..., None].astype(np.float32), needles[1:], needles[0])


# ---- three ways to run one network


def placed(model: OutputRecurrent, given: Turns) -> Turns:
    """Return the same as tensors on the device of the model."""
    device = model.parameters()[0].device
    return Turns(*(engine.asarray(one, device=device) for one in given))


def at_once(model: OutputRecurrent, given: Turns) -> Tensor:
    """Fed the truth, all steps at once: y (T, B, 2)."""
    own = placed(model, given)
    y: Tensor = model(own.x, own.y, first=own.first)
    return y


def one_by_one(model: OutputRecurrent, given: Turns) -> Tensor:
    """Fed the truth, one step after another: the same numbers."""
    cell, own = model.recurrent.cell, placed(model, given)
    before = [own.first, *(own.y[t] for t in range(len(given.y) - 1))]
    return engine.stack([cell(own.x[t], y)[0] for t, y in enumerate(before)])


def free(model: OutputRecurrent, given: Turns) -> Tensor:
    """Fed what it has said itself, which has to be done one step after another."""
    own = placed(model, given)
    y: Tensor = model(own.x, first=own.first)
    return y


def loss_of(way: Callable[..., Tensor]) -> Callable[[OutputRecurrent, Turns], Tensor]:
    """Return the mean squared error of a way to run, as a function of the model and the turns."""

    def loss(model: OutputRecurrent, given: Turns) -> Tensor:
        y = way(model, given)
        return engine.mean((y - engine.asarray(given.y, device=y.device)) ** 2)

    return loss


def errors(model: OutputRecurrent, given: Turns, way: Callable[..., Tensor]) -> Any:
    """Return the distance of the needles from the right ones, root mean square, by step (T,)."""
    with engine.no_grad():
        gaps = way(model, given).numpy() - given.y
    return np.sqrt((gaps**2).sum(axis=-1).mean(axis=-1))


def overall(of_steps: Any) -> float:
    """Return the same distance over all steps."""
    return float(np.sqrt(np.mean(of_steps**2)))


# ---- training


def trained(
    model: OutputRecurrent, options: argparse.Namespace, name: str, way: Any, steps: int
) -> History:
    """Train for so many updates in one of the ways."""
    valid = turns(options.T, 100, "validation")
    told = outputs(options) if name == "forced" else {"progress": False}
    if options.out is not None:
        told |= {"checkpoint": options.out / f"checkpoints-{name}", "resume": options.resume}
    return fitted(
        f"jordan: {name}",
        model,
        fresh(turns, options.T, options.batch, name, steps=steps),
        loss_of(way),
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        schedule=lambda adam: rnn.schedules.LinearLR(
            adam, start_factor=1.0, end_factor=0.01, total_iters=steps
        ),
        steps=steps,
        clip_norm=1.0,
        evaluate=lambda _: {"free": overall(errors(model, valid, free))},
        validate_every=max(1, steps // EVERY),
        **told,
    )


def seconds(model: OutputRecurrent, options: argparse.Namespace, way: Any, times: int = 5) -> float:
    """Time a loss and its gradients: the shortest of a few times, in seconds."""
    given, loss, took = turns(options.T, options.batch, "clock"), loss_of(way), []
    for _ in range(times):
        began = time.perf_counter()
        loss(model, given).backward()
        took.append(time.perf_counter() - began)
    model.zero_grad()
    return min(took)


def run(options: argparse.Namespace) -> Result:
    """Train on the truth all steps at once, then on its own outputs, and test both ways."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[Result, dict[str, Any]]:
    """Do the same as `run`, and return the errors at each step too."""
    began = begin(options)
    model = OutputRecurrent(rnn.JordanCell(1, options.hidden, 2)).to(options.device)
    test = turns(options.T, 500, "test")
    history = trained(model, options, "forced", at_once, options.steps)
    found = {"forced": errors(model, test, at_once), "free": errors(model, test, free)}
    took = {way.__name__: seconds(model, options, way) for way in (at_once, one_by_one, free)}
    trained(model, options, "own", free, options.own)
    found |= {"forced later": errors(model, test, at_once), "free later": errors(model, test, free)}
    figures = {name: overall(of_steps) for name, of_steps in found.items()}
    figures["standing still"] = overall(errors(model, test, lambda _, given: engine.asarray(
        np.broadcast_to(given.first, given.y.shape))))  # fmt: skip
    kept = result("jordan", options, began, figures, history, validated(history, "free"))
    return kept | {"times": took}, found


def tell(options: argparse.Namespace) -> None:
    """Print the errors, where they come from, and what each way takes."""
    kept, found = ran(options)
    own, took = kept["figures"], kept["times"]
    shown = sorted({0, options.T // 10, options.T // 2, options.T - 1})
    print("distance of the needle from the right one (it is 1 long), root mean square:")
    print(" " * 44 + "all steps" + "".join(f"{f'step {t + 1}':>10}" for t in shown))
    rows = {
        "fed the truth, as it was trained": "forced",
        "free, fed its own outputs": "free",
        f"free, after {options.own:,} updates on its own": "free later",
    }
    for text, name in rows.items():
        steps = "".join(f"{found[name][t]:10.4f}" for t in shown)
        print(f"    {text:40}{own[name]:9.4f}{steps}")
    print(f"    {'saying where it began':40}{own['standing still']:9.4f}")
    print(
        f"a loss and its gradients: {1000 * took['at_once']:.2f} ms all {options.T} steps at once, "
        f"{1000 * took['one_by_one']:.2f} ms one by one with the same numbers, "
        f"{1000 * took['free']:.2f} ms on its own outputs as a compiled recurrence"
    )


def main(arguments: list[str] | None = None) -> int:
    """Train, let free, measure. Returns the exit status."""
    return finish("jordan", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("jordan", __doc__)
    number = parser.number
    number("-T", default=100, help="steps of a sequence")
    number("--hidden", default=64, help="hidden units")
    number("--batch", default=32, help="sequences of an update")
    number("--steps", default=4000, help="updates on the truth")
    number("--own", default=2000, help="updates on its own outputs after that")
    number("--lr", default=3e-3, help="first learning rate of Adam")
    fast = {"T": 40, "hidden": 32, "batch": 16, "steps": 400, "own": 100, "lr": 0.01}
    resumable(parser)
    return settled(parser, arguments, fast)


if __name__ == "__main__":
    sys.exit(main())
