"""Measure the character model: seconds, held-out bits per character, and the pictures of the docs.

Run `python -m benchmarks.char_rnn`; it trains both models of `make demo`. With `--device cupy` they
train on a GPU, and the pictures of the docs stay as they are.
"""

import shutil
import tempfile
import time
from pathlib import Path

import rnn
from benchmarks import devices
from benchmarks.measuring import write
from examples import char_rnn
from examples.text import Text

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
ELMAN = ["--cell", "rnn", "--hidden", "64", "--updates", "1000"]


def main(arguments: list[str] | None = None) -> None:
    device = devices.parsed("char_rnn", __doc__, arguments)
    name = devices.result_name("char_rnn", device)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        began = time.monotonic()
        for own in (["--out", str(out)], [*ELMAN, "--out", str(out / "elman")]):
            if char_rnn.main([*own, "--device", device]):
                raise SystemExit(f"char_rnn: the training {' '.join(own)} failed")
        seconds = time.monotonic() - began
        _, config = rnn.load(out / "model.safetensors")
        if devices.on_host(device):
            PICTURES.mkdir(parents=True, exist_ok=True)
            shutil.copy(out / "elman" / "story.svg", PICTURES / "story.svg")
            shutil.copy(out / "story.svg", PICTURES / "story_lstm.svg")
    text = Text.of(char_rnn.read(char_rnn.parse([])))
    path = write(
        name,
        {
            "what": "both models of make demo, pictures and all; updates and bits of the LSTM",
            **devices.on(device),
            "seconds": seconds,
            "updates": config["updates"],
            "held_out_bits_per_character": config["held_out_bits_per_character"],
            "character_frequencies_alone": text.baseline(),
        },
    )
    print(f"written to {path}" + (f" and {PICTURES}" if devices.on_host(device) else ""))


if __name__ == "__main__":
    main()
