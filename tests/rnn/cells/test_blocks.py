"""Run every cell by its name: in the language model of the command line, in layers, in examples."""

import numpy as np
import pytest

import engine
import rnn
from examples import adding, char_rnn
from examples.layers import LAYERS
from rnn.command import main
from rnn.models import Classifier, LanguageModel
from rnn.models.blocks import CELLS
from tests.draws import ahead, first, normal
from tests.rnn.training.test_command_line import LINES

SMALL = ["--hidden", "8", "--length", "6", "--batch", "4", "--steps", "2", "--validate-every", "2",
         "--validate-steps", "2"]  # fmt: skip
CHANNELS = ("lru", "mamba", "s4d")


def loss_of(model, ids):
    return model.loss(ids[:-1], ids[1:])[0]


# One of each kind: gates, gates of the input alone, channels, matrix memories, neurons, a window.
KINDS = ["lstm", "mingru", "s4d", "deltanet", "mlstm", "lif", "lmu"]


@pytest.mark.parametrize("name", first(1, ahead(["mlstm"], CELLS)))
def test_two_updates_of_the_language_model_of_the_command_line(name, tmp_path):
    (tmp_path / "text").write_text(LINES, encoding="utf-8")
    out = tmp_path / "run"
    given = ["--text", str(tmp_path / "text"), "--out", str(out), "--cell", name, *SMALL]
    assert main(["train", *given]) == 0
    assert main(["sample", str(out), "--count", "3"]) == 0


@pytest.mark.parametrize("name", first(len(KINDS), ahead(KINDS, CELLS)))
def test_updates_lower_the_loss_and_a_stream_is_the_sequence(name):
    engine.seed(0)
    model = LanguageModel(5, 8, 8, cell=name)
    ids = engine.random.generator("blocks").integers(0, 5, (9, 6))
    optimizer, losses = rnn.optim.Adam(model.parameters(), 0.01), []
    for _ in range(20):
        losses.append(loss_of(model, ids))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < losses[0].item()
    with engine.no_grad():
        whole, state = model(ids)[0].numpy(), None
        for t, row in enumerate(ids):
            logits, state = model.advance(row, state)
            np.testing.assert_allclose(logits.numpy(), whole[t], atol=2e-5)


# Names that stand for options of a class.
OPTIONS = ["hgrn2", "gated_deltanet"]


@pytest.mark.parametrize("name", first(len(KINDS) + len(OPTIONS), ahead([*KINDS, *OPTIONS], CELLS)))
def test_layers_of_models_and_examples(name):
    net = Classifier(9, 3, embedding=8, hidden=8, cell=name)
    assert net([[1, 2], [3, 4]], [2, 1]).shape == (2, 3)
    y, _ = LAYERS[name](8, 8)(normal(3, 2, 8).astype("float32"))
    assert y.shape == (3, 2, 8)


def test_heads_of_matrix_memories():
    assert CELLS["deltanet"](5, 96).heads == 3
    assert CELLS["deltanet"](5, 40).heads == 1
    assert CELLS["deltanet"](5, 96).output_size == 96


@pytest.mark.parametrize("name", CHANNELS)
def test_cells_of_channels_refuse_other_widths(name, capsys):
    with pytest.raises(ValueError, match="Cell puts out as many numbers as it reads, 4; expected"):
        LanguageModel(9, 4, 8, cell=name)
    assert adding.main(["--fast", "--cell", name]) == 2
    assert capsys.readouterr().err.startswith("adding: ")


@pytest.mark.parametrize("name", first(1, ["mingru", "gated_deltanet", "slstm"]))
def test_the_character_model_with_a_block(name, tmp_path):
    given = ["--hidden", "8", "-T", "8", "--batch", "4", "--updates", "2", "--cell", name]
    assert char_rnn.main([*given, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "gradients.svg").exists()
