"""Write a training step of a language model as a user does, with bptt and with torch.

Both begin with the same weights and read the same tokens. A side has `step`, which does one whole
step and returns the loss, and `parts`, the pieces of a step by name. Below `language_step.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

V, WIDTH, T, B = 10_000, 200, 35, 20
BOUND = 0.25  # of the norm of all gradients
RATES = {"adam": 1e-3, "sgd": 1.0}
BATCHES = 8


class Side(NamedTuple):
    """Hold one library: a whole step by the number of its batch, and its parts by name."""

    step: Callable[[int], float]
    parts: Callable[[], dict[str, Callable[[], Any]]]


def weights() -> dict[str, np.ndarray]:
    """Return the weights that both sides begin with, by PyTorch's names of their parts."""
    rng = np.random.default_rng(0)
    shapes = {
        "embedding": (V, WIDTH), "weight_ih": (4 * WIDTH, WIDTH), "weight_hh": (4 * WIDTH, WIDTH),
        "bias_ih": (4 * WIDTH,), "bias_hh": (4 * WIDTH,), "weight": (V, WIDTH), "bias": (V,),
    }  # fmt: skip
    return {name: rng.uniform(-0.1, 0.1, shape).astype("float32") for name, shape in shapes.items()}


def tokens() -> np.ndarray:
    """Return the batches (BATCHES, T + 1, B), of frequencies like those of words."""
    rng = np.random.default_rng(1)
    share = 1 / np.arange(1, V + 1)
    return rng.choice(V, size=(BATCHES, T + 1, B), p=share / share.sum())


def ours(optimizer: str, threads: int) -> Side:
    """Return the side of bptt."""
    import engine
    import rnn

    engine.set_num_threads(threads)
    model = rnn.models.LanguageModel(V, WIDTH, WIDTH)
    cell: Any = model.recurrent.layers[0]
    cell, w = cell.cell, weights()
    for owner, name in ((model.embedding, "weight"), (model.head, "weight"), (model.head, "bias"),
                        *((cell, name) for name in w if "_" in name)):  # fmt: skip
        given = w["embedding"] if owner is model.embedding else w[name]
        getattr(owner, name).data = given.copy()
    kinds = {"adam": rnn.optim.Adam, "sgd": rnn.optim.SGD}
    updates = kinds[optimizer](model.parameters(), lr=RATES[optimizer])
    batches, state = tokens(), None

    def step(number: int) -> float:
        nonlocal state
        batch = batches[number % BATCHES]
        loss, state = model.loss(batch[:-1], batch[1:], state)
        value = loss.item()
        updates.zero_grad()
        loss.backward()
        rnn.clip_grad_norm(model.parameters(), BOUND)
        updates.step()
        return float(value)

    def parts() -> dict[str, Callable[[], Any]]:
        def leaf(x: Any) -> Any:
            return engine.asarray(x.data.copy(), requires_grad=True)

        step(0)  # leaves gradients, and updates in place what torch's graphs would hold
        x, y = batches[0][:-1], batches[0][1:]
        rows = model.embedding(x)
        e = leaf(rows)
        g = engine.asarray(np.ones_like(e.data) * 1e-3)
        out, _ = model.recurrent(e, state)
        h = leaf(out)
        logits = model.head(h)
        z = leaf(logits)
        loss = engine.cross_entropy(z, y)
        gz = engine.gradients(loss, [z])[0]
        modules = (model.embedding, model.recurrent, model.head)
        table, own, head = ([*module.parameters()] for module in modules)
        grads: list[Any] = [parameter.grad for parameter in model.parameters()]

        def clip() -> Any:
            for parameter, grad in zip(model.parameters(), grads, strict=True):
                parameter.grad = grad
            return rnn.clip_grad_norm(model.parameters(), BOUND / 2)

        return {
            "embedding": lambda: model.embedding(x),
            "recurrence": lambda: model.recurrent(e, state),
            "read-out": lambda: model.head(h),
            "loss": lambda: engine.cross_entropy(z, y).item(),
            "loss, backward": lambda: engine.gradients(loss, [z]),
            "read-out, backward": lambda: engine.gradients(logits, [h, *head], gz),
            "recurrence, backward": lambda: engine.gradients(out, [e, *own], g),
            "embedding, backward": lambda: engine.gradients(rows, table, g),
            "clipping": clip,
            "optimiser": updates.step,
            "step": lambda: step(0),
        }

    return Side(step, parts)


def with_torch(optimizer: str, threads: int) -> Side:
    """Return the side of torch."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    embedding, recurrent = torch.nn.Embedding(V, WIDTH), torch.nn.LSTM(WIDTH, WIDTH)
    head = torch.nn.Linear(WIDTH, V)
    w = {name: torch.from_numpy(value.copy()) for name, value in weights().items()}
    with torch.no_grad():
        embedding.weight.copy_(w["embedding"])
        head.weight.copy_(w["weight"])
        head.bias.copy_(w["bias"])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(recurrent, f"{name}_l0").copy_(w[name])
    parameters = [p for m in (embedding, recurrent, head) for p in m.parameters()]
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    updates = kinds[optimizer](parameters, lr=RATES[optimizer])
    batches, state = torch.from_numpy(tokens()), None

    def step(number: int) -> float:
        nonlocal state
        batch = batches[number % BATCHES]
        y, after = recurrent(embedding(batch[:-1]), state)
        loss = functional.cross_entropy(head(y).reshape(-1, V), batch[1:].reshape(-1))
        state = tuple(one.detach() for one in after)
        value = loss.item()
        updates.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, BOUND)
        updates.step()
        return float(value)

    def parts() -> dict[str, Callable[[], Any]]:
        def back(out: Any, inputs: list[Any], g: Any = None) -> Callable[[], Any]:
            return lambda: torch.autograd.grad(out, inputs, g, retain_graph=True)

        def leaf(x: Any) -> Any:
            return x.detach().clone().requires_grad_()

        step(0)  # leaves gradients, and updates in place what torch's graphs would hold
        x, y = batches[0][:-1], batches[0][1:].reshape(-1)
        rows = embedding(x)
        e = leaf(rows)
        g = torch.full_like(e, 1e-3)
        out, _ = recurrent(e, state)
        h = leaf(out)
        logits = head(h)
        z = leaf(logits)
        loss = functional.cross_entropy(z.reshape(-1, V), y)
        gz = torch.autograd.grad(loss, z, retain_graph=True)[0]
        grads = [parameter.grad.clone() for parameter in parameters]

        def clip() -> Any:
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.grad = grad
            return torch.nn.utils.clip_grad_norm_(parameters, BOUND / 2)

        return {
            "embedding": lambda: embedding(x),
            "recurrence": lambda: recurrent(e, state),
            "read-out": lambda: head(h),
            "loss": lambda: functional.cross_entropy(z.reshape(-1, V), y).item(),
            "loss, backward": back(loss, [z]),
            "read-out, backward": back(logits, [h, *head.parameters()], gz),
            "recurrence, backward": back(out, [e, *recurrent.parameters()], g),
            "embedding, backward": back(rows, [embedding.weight], g),
            "clipping": clip,
            "optimiser": updates.step,
            "step": lambda: step(0),
        }

    return Side(step, parts)


SIDES: dict[str, Callable[[str, int], Side]] = {"bptt": ours, "torch": with_torch}
