"""Tell type checkers what a call of a module returns: what its `forward`, or a cell's `step`, does.

Below the modules. Nothing of it does anything at run time.
"""

from typing import TYPE_CHECKING, Any, ParamSpec, Protocol

# A TypeVar has a default from Python 3.13 on; checkers know that of `typing_extensions`, also where
# it is not installed.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Found = TypeVar("Found", default=tuple[Any, Any])
else:
    from typing import TypeVar

    Found = TypeVar("Found")

Given = ParamSpec("Given")
Out = TypeVar("Out", covariant=True)
Back = TypeVar("Back")  # what a call returns


class HasForward(Protocol[Given, Out]):
    """Describe a module by its `forward`: a call takes the same arguments and returns the same."""

    def forward(self, *inputs: Given.args, **options: Given.kwargs) -> Out:
        """Return what a call returns."""
        ...


class HasStep(Protocol[Out]):
    """Describe a cell by its `step`: a call of it, or of a `Recurrent` of it, returns the same."""

    def step(self, x: Any, /, *states: Any, **more: Any) -> Out:
        """Return the output and the state after one step."""
        ...
