"""The main job as a benchmark: seconds, held-out bits per character, and the pictures of the docs.

Run `python -m benchmarks.char_rnn`; it trains both models of `make demo`.
"""

import shutil
import tempfile
import time
from pathlib import Path

import rnn
from benchmarks.measuring import write
from examples import char_rnn
from examples.text import Text

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
ELMAN = ["--cell", "rnn", "--hidden", "64", "--updates", "1000"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        began = time.monotonic()
        char_rnn.main(["--out", str(out)])
        char_rnn.main([*ELMAN, "--out", str(out / "elman")])
        seconds = time.monotonic() - began
        _, config = rnn.load(out / "model.safetensors")
        PICTURES.mkdir(parents=True, exist_ok=True)
        shutil.copy(out / "elman" / "story.svg", PICTURES / "story.svg")
        shutil.copy(out / "story.svg", PICTURES / "story_lstm.svg")
    text = Text.of(char_rnn.read(char_rnn.parse([])))
    path = write(
        "char_rnn",
        {
            "what": "both models of make demo, pictures and all; updates and bits of the LSTM",
            "seconds": seconds,
            "updates": config["updates"],
            "held_out_bits_per_character": config["held_out_bits_per_character"],
            "character_frequencies_alone": text.baseline(),
        },
    )
    print(f"written to {path} and {PICTURES}")


if __name__ == "__main__":
    main()
