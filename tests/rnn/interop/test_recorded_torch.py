"""Compare layers with what torch computed, recorded by `record_torch.py`: outputs, final states and
every gradient, in float64.
"""

import numpy as np
import pytest
from safetensors.numpy import load_file

import engine
import rnn
from tests.draws import crossed, first
from tests.rnn.interop.torch_cases import AXES, LENGTHS, RECORDED, B, H, I, T, arrays, cases
from tests.rnn.interop.torch_cases import label as labelled

FOUND = load_file(RECORDED)


LABELS = [labelled(*values) for values in crossed(*AXES)]


@pytest.mark.parametrize("label", first(4, LABELS))
def test_layers_compute_what_torch_computed(label):
    case = cases()[label]
    net = getattr(rnn, case["kind"])(I, H, **case["options"], dtype="float64")
    given = arrays(case, {name: x.shape for name, x in net.named_parameters()})
    net.load_state_dict({name: given[name] for name, _ in net.named_parameters()})
    leaves = {name: engine.asarray(given[name], requires_grad=True)
              for name in ("x", "h", "c") if name in given}  # fmt: skip
    state = (leaves["h"], leaves["c"]) if "c" in leaves else leaves["h"]
    y, final = net(leaves["x"], state, LENGTHS if case["packed"] else None)
    outs = dict(zip("yhc", [y, *(final if isinstance(final, tuple) else (final,))], strict=False))
    grads = engine.gradients(list(outs.values()), [*leaves.values(), *net.parameters()],
                             [given[f"d{name}"] for name in outs])  # fmt: skip
    found = {f"out {name}": x for name, x in outs.items()}
    names = [*leaves, *dict(net.named_parameters())]
    found |= {f"grad {name}": g for name, g in zip(names, grads, strict=True)}
    recorded = {name.partition("/")[2] for name in FOUND if name.startswith(f"{label}/")}
    assert set(found) == recorded
    for name, own in found.items():
        np.testing.assert_allclose(own.numpy(), FOUND[f"{label}/{name}"], rtol=1e-9, atol=1e-11,
                                   err_msg=name)  # fmt: skip


def test_the_recording_is_of_a_ragged_batch():
    assert len(LENGTHS) == B
    assert max(LENGTHS) == T
