"""Read a text as integers, and measure its characters without a model. Below `char_rnn.py`."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Text:
    """Hold a text as integers, cut into a part to learn from and its last tenth, held out."""

    symbols: str
    train: Any
    held_out: Any

    @classmethod
    def of(cls, text: str) -> "Text":
        symbols = "".join(sorted(set(text)))
        number = {symbol: i for i, symbol in enumerate(symbols)}
        ids = np.array([number[c] for c in text], dtype=np.int64)
        cut = len(ids) - len(ids) // 10
        return cls(symbols, ids[:cut], ids[cut:])

    def baseline(self) -> float:
        """Return bits per held-out character of the character frequencies alone."""
        seen = Counter(self.train.tolist())
        total = len(self.train) + len(self.symbols)  # one more of each: none is impossible
        bits = [-math.log2((seen[i] + 1) / total) for i in range(len(self.symbols))]
        return float(np.mean([bits[i] for i in self.held_out.tolist()]))
