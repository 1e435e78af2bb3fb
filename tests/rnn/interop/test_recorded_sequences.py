"""Compare teacher forcing, free running, attention and CTC with what torch computed, recorded by
`record_torch.py`: logits, losses and every gradient, in float64.
"""

import numpy as np
import pytest
from safetensors.numpy import load_file

import engine
from rnn.models import Attention, Decoder, Encoder, Seq2Seq
from tests.draws import crossed, first, leaf
from tests.rnn.interop.torch_sequences import (
    AXES,
    COUNTS,
    FRAMES,
    LENGTHS,
    LOGITS,
    PAD,
    RECORDED,
    START,
    TARGETS,
    E,
    H,
    V,
    W,
    X,
    Y,
    losses,
    weights,
    writers,
    written,
)

FOUND = load_file(RECORDED)


def recorded(label):
    """Return the recorded arrays of a case, by name."""
    return {name.partition("/")[2]: x for name, x in FOUND.items()
            if name.startswith(f"{label}/")}  # fmt: skip


@pytest.mark.parametrize("label", first(4, [written(*values) for values in crossed(*AXES)]))
def test_encoders_and_decoders_compute_what_torch_computed(label):
    case = writers()[label]
    attention = None if case["score"] is None else Attention(H, H, case["score"])
    decoder = Decoder(W, E, H, case["layers"], attention=attention)
    model = Seq2Seq(Encoder(V, E, H, case["layers"]), decoder, start=START, end=START, pad=PAD)
    model.to(engine.float64)
    own = weights(case)
    model.load_state_dict(own)
    expected = recorded(label)
    logits = model(X, LENGTHS, Y, ratio=case["ratio"])
    close(logits, expected.pop("logits"))
    loss = model.loss(X, LENGTHS, Y, ratio=case["ratio"])
    close(loss, expected.pop("loss"))
    loss.backward()
    assert {f"grad {name}" for name in own} == set(expected)
    for name, parameter in model.named_parameters():
        close(parameter.grad, expected[f"grad {name}"], name)


@pytest.mark.parametrize("label", losses())
def test_ctc_is_what_torch_computed(label):
    x, expected = leaf(LOGITS), recorded(label)
    loss = engine.ctc_loss(engine.log_softmax(x), TARGETS, FRAMES, COUNTS, **losses()[label])
    close(loss, expected.pop("loss"))
    for theirs in expected.values():
        close(engine.gradients(engine.sum(loss), [x])[0], theirs)


def close(own, theirs, what=""):
    np.testing.assert_allclose(own.numpy(), theirs, rtol=1e-9, atol=1e-11, err_msg=what)


def test_the_recording_has_all_that_is_asked_of_it():
    names = {name.partition("/")[0] for name in FOUND}
    assert names == {*writers(), *losses()}
    ran_free = {
        label: recorded(label)["logits"].argmax(-1) for label in writers() if "0.0" in label
    }
    assert any((ids[:-1] != Y[:-1]).any() for ids in ran_free.values())  # fed what it was not given
