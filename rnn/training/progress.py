"""The progress of a run: a bar in a terminal or a notebook, elsewhere a line now and then.

Below the loop.
"""

import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from rnn.training.history import Step, Validation, shown

EVERY = 30.0  # seconds between lines where there is no bar


class Progress:
    """Shows steps and validations on stderr; nothing where `shown` is false.

    The bar is tqdm's. Without a terminal or a notebook there is at most a line every half minute,
    so that short runs say nothing. Without `steps` there are validations alone.
    """

    def __init__(self, shown: bool, total: int | None, initial: int, *, steps: bool = True) -> None:
        self._kind = _bar() if shown else None
        self._lines = shown and self._kind is None
        self._total, self._done = total, initial
        self._next = time.monotonic() + EVERY
        self._bar = self._made(total=total, initial=initial, unit="step") if steps else None
        self._metrics = ""

    def step(self, record: Step) -> None:
        """Show one step more, with its loss, gradient norm and rate."""
        self._done = record.step
        if self._bar is None and not self._lines:
            return
        told = (
            f"loss {record.loss:.4g}, gradient norm {record.grad_norm:.3g}, "
            f"lr {record.lr:.3g}{self._metrics}"
        )
        if self._bar is not None:
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update()
        self._say(f"step {_of(self._done, self._total)}, epoch {record.epoch}: {told}")

    def through(self, batches: Iterable[Any], total: int | None) -> Iterator[Any]:
        """Yield the batches of a validation, and show how many are done."""
        bar = self._made(total=total, unit="batch", desc="validation", leave=False)
        try:
            for number, batch in enumerate(batches):
                self._say(f"step {_of(self._done, self._total)}: validation, {_of(number, total)}")
                yield batch
                if bar is not None:
                    bar.update()
        finally:
            if bar is not None:
                bar.close()

    def validation(self, record: Validation) -> None:
        """Show the metrics of a validation from here on."""
        self._metrics = f"; validation: {shown(record.metrics)}"

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def _made(self, **options: Any) -> Any:
        """Return a bar, None where none is shown."""
        return None if self._kind is None else self._kind(dynamic_ncols=True, **options)

    def _say(self, line: str) -> None:
        """Print a line, if the last one was long enough ago."""
        if self._lines and time.monotonic() >= self._next:
            print(line, file=sys.stderr, flush=True)
            self._next = time.monotonic() + EVERY


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"


def _bar() -> Any:
    """Return the kind of bar that can be shown here: that of a notebook, of a terminal, or None."""
    if "IPython" in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm says so where a notebook has no widgets
            from tqdm.auto import tqdm as auto
            from tqdm.notebook import tqdm_notebook
        if issubclass(auto, tqdm_notebook):
            return auto
    return tqdm if sys.stderr is not None and sys.stderr.isatty() else None
