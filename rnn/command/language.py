"""Make the language model of a configuration, and measure its loss on a text. Below the verbs."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import engine
from rnn.command.options import LEVELS, SCHEDULES
from rnn.data.streams import Streams
from rnn.data.vocabulary import Vocabulary
from rnn.models.language_model import LanguageModel
from rnn.optim import Optimizer
from rnn.schedules import LambdaLR, Schedule
from rnn.schedules.base import between, cosine
from rnn.training import Callback, Checkpoint, Checkpoints, GradientPictures, TensorBoard

FIELDS = {
    "level": str, "vocabulary": dict, "cell": str, "hidden": int, "layers": int, "embedding": int,
    "dropout": float, "tie": bool, "text": str, "sha256": str, "held_out": float, "steps": int,
    "batch": int, "length": int, "lr": float, "clip": float, "validate_every": int,
    "save_every": int, "seed": int, "device": str,
}  # fmt: skip


def made(config: Mapping[str, Any], device: str) -> LanguageModel:
    """Return the model of a configuration, its weights drawn from its seed. Raises ValueError."""
    engine.seed(config["seed"])
    model = LanguageModel(
        len(vocabulary(config)),
        config["embedding"],
        config["hidden"],
        config["layers"],
        cell=config["cell"],
        dropout=config["dropout"],
        tie_weights=config["tie"],
    )
    return model.to(device)


def schedule(config: Mapping[str, Any]) -> Callable[[Optimizer], Schedule] | None:
    """Return the maker of a schedule: down to a hundredth over its steps, then constant."""
    kind, steps = config.get("schedule", "constant"), config["steps"]  # old ones do not say it
    way = {"linear": between, "cosine": cosine}.get(kind)
    if way is None:
        return None
    return lambda optimizer: LambdaLR(optimizer, lambda t: way(1.0, 0.01, min(t / steps, 1.0)))


def vocabulary(config: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary of a configuration."""
    return Vocabulary(config["vocabulary"]["tokens"], specials=config["vocabulary"]["specials"])


def described(own: Vocabulary) -> dict[str, Any]:
    """Return a vocabulary as plain data."""
    return {"specials": dict(own.specials), "tokens": list(own.ordinary)}


def opened(folder: str | Path) -> Checkpoint:
    """Return the newest good checkpoint of `train` in a folder. Raises ValueError for none."""
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: no such folder")
    found = Checkpoints(Path(folder) / "checkpoints").newest()
    if found is None:
        raise ValueError(f"{folder}: no checkpoints in it; it is not what train writes")
    config = found.state.get("config")
    if (
        not isinstance(config, dict)
        or not set(FIELDS) <= set(config)
        or any(type(config[name]) is not kind for name, kind in FIELDS.items())
        or set(config["vocabulary"]) != {"specials", "tokens"}
        or config["level"] not in LEVELS
        or config.get("schedule", "constant") not in SCHEDULES
        or not isinstance(config.get("encoding", "utf-8"), str)
    ):
        raise ValueError(f"{found.path}: a checkpoint, but of no language model of this command")
    return found


def trained(found: Checkpoint, device: str, *, last: bool) -> LanguageModel:
    """Return the model of a checkpoint with its best weights, or its last ones."""
    model = made(found.state["config"], device)
    final = found.state.get("final")
    newest = isinstance(final, dict) and final.get("best") is True  # the last ones are the best
    kinds = ("model",) if last or newest else ("best", "model")
    for kind in kinds:
        start = len(kind) + 1
        weights = {name[start:]: x for name, x in found.tensors.items()
                   if name.startswith(f"{kind}.")}  # fmt: skip
        if weights:
            model.load_state_dict(weights)
            break
    return model.eval()


def loss(model: LanguageModel, chunk: Any, state: Any) -> tuple[engine.Tensor, Any]:
    """Return the loss of a chunk, in nats, and the state after it: what `fit` asks for."""
    device = model.head.weight.device
    x, y = (engine.asarray(part, device=device) for part in chunk[:2])
    return model.loss(x, y, state)


def watching(config: Mapping[str, Any], folder: Path, data: Streams) -> list[Callback]:
    """Return callbacks: event files, gradient pictures. Raises ValueError without tensorboardX."""
    found: list[Callback] = []
    to: Path | TensorBoard = folder / "gradients"
    if config.get("tensorboard"):
        try:
            to = TensorBoard(folder / "events")
        except ImportError as error:
            raise ValueError(f"--tensorboard: {error}") from error
        found.append(to)
    if every := config.get("gradients"):
        found.append(GradientPictures(next(data.batches(0, 0)), to, every=every))
    return found


def streams(ids: Any, batch: int, length: int) -> Streams:
    """Return a text as `batch` streams, fewer where it is short."""
    return Streams(ids, batch_size=min(batch, max(1, (len(ids) - 1) // 2)), steps=length)


def nats(model: LanguageModel, ids: Any, batch: int, length: int) -> tuple[float, int]:
    """Return the mean cost of an index, in nats, and how many were counted, as `streams` reads."""
    total, count, state = 0.0, 0, None
    model.eval()
    with engine.no_grad():
        for chunk in streams(ids, batch, length):
            mean, state = loss(model, chunk, state)
            total += float(mean.item()) * chunk.y.size
            count += chunk.y.size
    return total / count, count


def units(tokens: int, characters: int) -> dict[str, Callable[[float], float]]:
    """Return functions of a mean cost in nats to the other units, by tokens and characters."""
    return {
        "bits_per_character": lambda cost: cost * tokens / characters / math.log(2),
        "perplexity": lambda cost: math.inf if cost > 700 else math.exp(cost),
    }


def in_units(cost: float, tokens: int, characters: int) -> dict[str, float]:
    """Return a mean cost in nats, and in the other units."""
    return {"loss": cost} | {name: of(cost) for name, of in units(tokens, characters).items()}
