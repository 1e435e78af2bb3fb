"""The progress bar. Below the loop."""

from typing import Any

from tqdm import tqdm

from rnn.training.history import Step, Validation


class Progress:
    """A tqdm bar on stderr: nothing where that is no terminal, nor where `shown` is false."""

    def __init__(self, shown: bool, total: int | None, initial: int) -> None:
        self._bar: Any = tqdm(
            total=total,
            initial=initial,
            unit="step",
            dynamic_ncols=True,
            disable=None if shown else True,
        )
        self._figures = ""

    def step(self, record: Step) -> None:
        """One step more, with its loss, gradient norm and rate."""
        self._bar.set_postfix_str(
            f"loss {record.loss:.4g}, gradient norm {record.grad_norm:.3g}, "
            f"lr {record.lr:.3g}{self._figures}",
            refresh=False,
        )
        self._bar.update()

    def validation(self, record: Validation) -> None:
        """Show the figures of a validation from here on."""
        figures = ", ".join(f"{name} {value:.4g}" for name, value in record.figures.items())
        self._figures = f"; validation: {figures}"

    def close(self) -> None:
        self._bar.close()
