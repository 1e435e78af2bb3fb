"""The main job as a benchmark: seconds, held-out bits per character, and the pictures of the docs.

Run `python -m benchmarks.char_rnn`; it trains with the defaults of the example.
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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        char_rnn.main(["--out", folder])
        seconds = time.monotonic() - began
        _, config = rnn.load(Path(folder) / "model.safetensors")
        PICTURES.mkdir(parents=True, exist_ok=True)
        for picture in sorted(Path(folder).glob("*.svg")):
            shutil.copy(picture, PICTURES / picture.name)
    text = Text.of(char_rnn.read(char_rnn.parse([])))
    path = write(
        "char_rnn",
        {
            "what": "examples/char_rnn.py with its defaults, pictures and all",
            "seconds": seconds,
            "updates": config["updates"],
            "held_out_bits_per_character": config["held_out_bits_per_character"],
            "character_frequencies_alone": text.baseline(),
        },
    )
    print(f"written to {path} and {PICTURES}")


if __name__ == "__main__":
    main()
