"""Record what torch computes for `torch_cases.py` and `torch_sequences.py`, in float64: outputs and
all gradients. Run ``python -m tests.rnn.interop.record_torch`` with torch to write both.
"""

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.rnn.interop import torch_sequences as sequences
from tests.rnn.interop.torch_cases import LENGTHS, RECORDED, H, I, T, arrays, cases


def record(case):
    """Return the results of one case by name."""
    options = case["options"]
    layer = getattr(torch.nn, case["kind"])(I, H, **options, dtype=torch.float64)
    given = arrays(case, {name: tuple(p.shape) for name, p in layer.named_parameters()})
    layer.load_state_dict({name: torch.tensor(given[name]) for name in layer.state_dict()})
    leaves = {name: torch.tensor(given[name], requires_grad=True)
              for name in ("x", "h", "c") if name in given}  # fmt: skip
    state = (leaves["h"], leaves["c"]) if "c" in leaves else leaves["h"]
    x = leaves["x"]
    if case["packed"]:
        x = pack_padded_sequence(x, torch.tensor(LENGTHS), enforce_sorted=False,
                                 batch_first=options["batch_first"])  # fmt: skip
    y, final = layer(x, state)
    if case["packed"]:
        y, _ = pad_packed_sequence(y, batch_first=options["batch_first"], total_length=T)
    outs = {
        "y": y,
        **dict(zip("hc", final if isinstance(final, tuple) else (final,), strict=False)),
    }
    inputs = [*leaves.values(), *layer.parameters()]
    names = [*leaves, *(name for name, _ in layer.named_parameters())]
    grads = torch.autograd.grad(list(outs.values()), inputs,
                                [torch.tensor(given[f"d{name}"]) for name in outs])  # fmt: skip
    found = {f"out {name}": one.detach().numpy() for name, one in outs.items()}
    return found | {f"grad {name}": g.numpy() for name, g in zip(names, grads, strict=True)}


def written(case):
    """Return the logits, the loss and all gradients of an encoder-decoder, by layers of torch.

    Attention is Luong's with input feeding: h of the cell, context c by the weights of all outputs
    of the encoder, tanh(W [c, h]) to the head and beside the next embedding.
    """
    own = {name: torch.tensor(x, requires_grad=True)
           for name, x in sequences.weights(case).items()}  # fmt: skip
    layers, score = case["layers"], case["score"]
    E, H = sequences.E, sequences.H
    encoder = torch.nn.GRU(E, H, layers, dtype=torch.float64)
    decoder = torch.nn.GRU(E + (H if score else 0), H, layers, dtype=torch.float64)
    read = {name.rpartition(".")[2]: x for name, x in own.items() if "recurrent" in name}
    write = {f"{name.rpartition('.')[2]}_l{name.split('.')[2]}": x
             for name, x in own.items() if ".cells." in name}  # fmt: skip
    call = torch.func.functional_call
    x = torch.nn.functional.embedding(torch.tensor(sequences.X), own["encoder.embedding.weight"])
    packed = pack_padded_sequence(x, torch.tensor(sequences.LENGTHS), enforce_sorted=False)
    outputs, h = call(encoder, read, (packed,))
    memory = pad_packed_sequence(outputs, total_length=sequences.T)[0].transpose(0, 1)
    outside = torch.arange(sequences.T) >= torch.tensor(sequences.LENGTHS)[:, None]
    given = torch.tensor(sequences.Y)
    token = torch.full((sequences.B,), sequences.START)
    feed, logits = torch.zeros(sequences.B, H, dtype=torch.float64), []
    for t in range(sequences.U):
        e = torch.nn.functional.embedding(token, own["decoder.embedding.weight"])
        y, h = call(decoder, write, ((torch.cat([e, feed], -1) if score else e)[None], h))
        y = y[0]
        if score:
            a = scores(score, y, memory, own).masked_fill(outside, -torch.inf).softmax(-1)
            both = torch.cat([torch.einsum("bt,btm->bm", a, memory), y], -1)
            y = feed = torch.tanh(both @ own["decoder.combine.weight"].T)
        logits.append(y @ own["decoder.head.weight"].T + own["decoder.head.bias"])
        token = given[t] if case["ratio"] else logits[-1].argmax(-1)
    found = torch.stack(logits)
    loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), given.flatten(),
                                             ignore_index=sequences.PAD)  # fmt: skip
    loss.backward()
    return {"logits": found.detach().numpy(), "loss": loss.detach().numpy(),
            **{f"grad {name}": x.grad.numpy() for name, x in own.items()}}  # fmt: skip


def scores(score, y, memory, own):
    """Return the scores (B, T) of queries y (B, H) and outputs (B, T, H)."""
    if score == "dot":
        return torch.einsum("bq,btq->bt", y, memory)
    if score == "general":
        return torch.einsum("bq,qm,btm->bt", y, own["decoder.attention.weight"], memory)
    q = torch.einsum("aq,bq->ba", own["decoder.attention.weight_query"], y)[:, None]
    k = torch.einsum("am,btm->bta", own["decoder.attention.weight_memory"], memory)
    return torch.tanh(q + k) @ own["decoder.attention.v"]


def lost(case):
    """Return a CTC loss, and its gradient by the logits."""
    x = torch.tensor(sequences.LOGITS, requires_grad=True)
    loss = torch.nn.functional.ctc_loss(
        x.log_softmax(-1), torch.tensor(sequences.TARGETS), torch.tensor(sequences.FRAMES),
        torch.tensor(sequences.COUNTS), **case,
    )  # fmt: skip
    found = {"loss": loss.detach().numpy()}
    if case["zero_infinity"]:  # without, torch's gradient of the infinite row is none
        loss.sum().backward()
        found["grad"] = x.grad.numpy()
    return found


def main():
    layers = {label: record(case) for label, case in cases().items()}
    save(RECORDED, layers)
    others = {label: written(case) for label, case in sequences.writers().items()}
    others |= {label: lost(case) for label, case in sequences.losses().items()}
    save(sequences.RECORDED, others)


def save(path, results):
    found = {f"{label}/{name}": np.ascontiguousarray(values)
             for label, result in results.items() for name, values in result.items()}  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    save_file(found, path, metadata={"torch": torch.__version__})
    print(f"{len(found)} arrays of torch {torch.__version__} in {path}")


if __name__ == "__main__":
    main()
