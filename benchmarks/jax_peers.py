"""Build the peers of jax: `jax.lax.scan` under jit, with the product of the input inside of the
step and before the scan.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import cells

Job = Callable[[], list[Any]]


class Jax:
    """Offer the functions that the equations ask for."""

    tanh, sigmoid, sqrt, absolute = jnp.tanh, jax.nn.sigmoid, jnp.sqrt, jnp.abs

    @staticmethod
    def linear(x: Any, w: Any, b: Any = None) -> Any:
        return x @ w.T if b is None else x @ w.T + b

    @staticmethod
    def split(a: Any, n: int) -> Any:
        return jnp.split(a, n, -1)

    @staticmethod
    def row_mean(a: Any) -> Any:
        return a.mean(-1, keepdims=True)


# As jax names our classes of precision; its "bfloat16" would be TF32 on a GPU.
PRECISIONS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "BF16_BF16_F32"}


def jobs(
    cell: str, given: dict[str, Any], *, dtype: str = "float32", precision: str = "float32"
) -> dict[str, Job]:
    """Return training steps with the input's product inside and outside of the scan."""
    names = [name for name in given if name != "g"]
    w = {name: jnp.asarray(given[name], dtype) for name in names}
    g = jnp.asarray(given["g"], dtype)

    def forward(w: dict[str, Any], *, hoisted: bool) -> Any:
        def step(now: Any, x: Any) -> Any:
            u = x if hoisted else Jax.linear(x, w["W"], w["b"])
            y, new = cells.STEPS[cell](Jax, w, u, *now)
            return new, y

        xs = Jax.linear(w["x"], w["W"], w["b"]) if hoisted else w["x"]
        return jax.lax.scan(step, tuple(w[name] for name in cells.states(cell)), xs)[1]

    def training(*, hoisted: bool) -> Job:
        @jax.jit
        def run(w: dict[str, Any], g: Any) -> Any:
            _, pull = jax.vjp(lambda w: forward(w, hoisted=hoisted), w)
            return pull(g)[0]

        def job() -> list[Any]:
            with jax.default_matmul_precision(PRECISIONS[precision]):
                grads = jax.block_until_ready(run(w, g))
            return [grads[name] for name in names]

        return job

    return {"jax scan": training(hoisted=False), "jax scan, hoisted": training(hoisted=True)}
