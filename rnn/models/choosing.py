"""What a decoder is fed while it trains: the truth, or its own choice. Below `decoder.py`."""

import engine
from engine import Tensor
from engine.backends import HOST

FEEDBACKS = ("argmax", "sample")


class Feedback:
    """The choice of an index from logits, and the coins that say when it is fed back.

    Raises ValueError for a ratio outside of [0, 1] and another kind of feedback.
    """

    def __init__(self, where: str, ratio: float, feedback: str) -> None:
        number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
        if not number or not 0 <= ratio <= 1:
            raise ValueError(f"{where}: ratio must lie in [0, 1], got {ratio!r}")
        if feedback not in FEEDBACKS:
            raise ValueError(f"{where}: unknown feedback {feedback!r}; there are {FEEDBACKS}")
        self.ratio, self.feedback = ratio, feedback

    def drawn(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Coins (U, B) for inputs (U, B), true where the truth is fed, and numbers to sample with.

        Each by the seed, how often it was asked for, and the step.
        """
        words = engine.random.fresh_key("teacher forcing").numpy().tolist()
        coins, marks = [], []
        for t in range(inputs.shape[0]):
            tossed = engine.random.generator("teacher forcing", *words, t)
            numbers = tossed.random((inputs.shape[1], 2))  # a pair for each row
            coins.append(numbers[:, 0] < (self.ratio if t else 1))
            marks.append(numbers[:, 1])
        told = engine.asarray(HOST.xp.stack(coins), device=inputs.device)
        if self.feedback == "argmax":
            return told, None
        return told, engine.asarray(HOST.xp.stack(marks), device=inputs.device)

    def __call__(self, logits: Tensor, mark: Tensor | None) -> Tensor:
        """The index (B,) that is fed back; no gradient goes through it."""
        if mark is None:
            return engine.argmax(logits, axis=-1)
        heaps = engine.cumsum(engine.softmax(logits, axis=-1), axis=-1)
        at = engine.expand_dims(engine.astype(mark, logits.dtype), axis=-1) * heaps[:, -1:]
        passed = engine.astype(heaps <= at, engine.int64)
        drawn = engine.sum(passed, axis=-1)
        return engine.minimum(drawn, logits.shape[-1] - 1)
