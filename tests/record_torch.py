"""Records what torch's layers compute for `torch_cases.py`, in float64: outputs, final states, all
gradients. Run ``python -m tests.record_torch`` with torch installed to write the file anew.
"""

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.torch_cases import LENGTHS, RECORDED, H, I, T, arrays, cases


def record(case):
    """The results of one case by name."""
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


def main():
    found = {}
    for label, case in cases().items():
        for name, values in record(case).items():
            found[f"{label}/{name}"] = np.ascontiguousarray(values)
    RECORDED.parent.mkdir(exist_ok=True)
    save_file(found, RECORDED, metadata={"torch": torch.__version__})
    print(f"{len(found)} arrays of torch {torch.__version__} in {RECORDED}")


if __name__ == "__main__":
    main()
