"""Say what to write here for names that NumPy and PyTorch have. Below `engine/__init__.py`."""

import sys
from types import ModuleType
from typing import Any, NoReturn

INSTEAD = {
    **dict.fromkeys(("array", "from_numpy", "as_tensor"), "engine.asarray(x)"),
    **dict.fromkeys(("randint", "randperm", "bernoulli"),
                    "engine.asarray of NumPy's random numbers"),
    **dict.fromkeys(("randn", "randn_like"), "engine.random.normal(shape, 1.0)"),
    **dict.fromkeys(("rand", "rand_like"), "engine.random.uniform(shape, 0.0, 1.0)"),
    **dict.fromkeys(("nn", "autograd", "optim", "utils"), "rnn.Linear, rnn.optim, engine.grad and "
                    "so on: the networks are in the package rnn"),
    **dict.fromkeys(("save", "load"), "rnn.save(path, ...) and rnn.load(path)"),
    **dict.fromkeys(("inference_mode", "set_grad_enabled"), "engine.no_grad()"),
    **dict.fromkeys(("cuda",), 'engine.device("cupy"), module.to("cupy")'),
    **dict.fromkeys(("allclose", "isclose"), "numpy.allclose(x, y)"),
    **dict.fromkeys(("set_default_dtype", "get_default_dtype"), "dtype= where a tensor is made"),
    **dict.fromkeys(("functional", "special"), "engine itself, as in engine.softmax(x, axis=-1)"),
    "one_hot": "engine.take(engine.eye(n), x, axis=0)",
    "smooth_l1_loss": "engine.huber_loss(x, y, delta=beta) / beta",
    "binary_cross_entropy": "engine.binary_cross_entropy_with_logits of what goes into the sigmoid",
    "cat": "engine.concat", "concatenate": "engine.concat", "manual_seed": "engine.seed",
    "transpose": "engine.permute_dims", "permute": "engine.permute_dims", "einsum_path":
    "engine.einsum", "unsqueeze": "engine.expand_dims", "gather": "engine.take_along_axis",
    "clamp": "engine.clip", "mm": "x @ y", "bmm": "x @ y", "dot": "engine.vecdot",
    "arctan2": "engine.atan2", "arcsin": "engine.asin", "arccos": "engine.acos", "arctan":
    "engine.atan", "absolute": "engine.abs", "amax": "engine.max",
    "amin": "engine.min", "masked_fill": "engine.where(mask, value, x)", "view":
    "x.reshape(shape)", "flatten": "x.reshape((-1,))", "ravel": "x.reshape((-1,))", "chunk":
    "engine.split(x, parts, axis=axis)", "numel": "x.size", "multinomial": "rnn.sample(logits)",
    "is_tensor": "isinstance(x, engine.Tensor)", "long": "engine.int64", "int": "engine.int32",
    "float": "engine.float32", "double": "engine.float64", "half": "engine.float16",
    "compile": "the function itself: steps of recurrences are compiled by themselves",
    **dict.fromkeys(("jit", "pmap"), "the function itself: steps of recurrences are compiled"),
    **dict.fromkeys(("jacfwd", "jacrev"), "engine.jacobian"),
    "lax": "engine.scan, engine.cond, engine.while_loop and so on", "switch": "fs[int(i)](x)",
    **dict.fromkeys(("Variable", "constant", "convert_to_tensor"), "engine.asarray(x)"),
    **dict.fromkeys(("layers", "keras", "tf"), "rnn.Linear, rnn.LSTM and so on"),
    "F": "engine itself, as in engine.softmax(x, axis=-1)", "shape": "x.shape",
    "GradientTape": "engine.gradients(loss, xs) or engine.grad(f)",
    "function": "the function itself: steps of recurrences are compiled by themselves",
    "cast": "x.astype(dtype)", "bce_with_logits": "engine.binary_cross_entropy_with_logits",
    "reduce_sum": "engine.sum(x, axis=axis)", "reduce_mean": "engine.mean(x, axis=axis)",
    "reduce_max": "engine.max(x, axis=axis)", "normalize":
    "x / engine.norm(x, axis=-1, keepdims=True)", "cosine_similarity":
    "engine.vecdot(x, y) / (engine.norm(x, axis=-1) * engine.norm(y, axis=-1))",
    "kl_div": "engine.sum(p * (engine.log(p) - engine.log(q)))", "set_random_seed": "engine.seed",
    "enable_grad": "the code outside of engine.no_grad()", "func": "engine.grad, engine.jacobian",
}  # fmt: skip


class Size(int):
    """Give the number of elements of a tensor, and say what to write where it is called."""

    def __call__(self, *axes: int) -> NoReturn:
        """Raise TypeError: ``x.size(0)`` is PyTorch's."""
        instead = f"x.shape[{axes[0]}]" if axes else "x.shape"
        raise TypeError(f"x.size is the number of elements here; write {instead}")

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)


class _TensorModule(ModuleType):
    """Refuse a call of the module `engine.tensor` as ``torch.tensor`` is called."""

    def __call__(self, *args: Any, **keywords: Any) -> NoReturn:
        raise TypeError("engine.tensor is a module; write engine.asarray(x)")


def say_that_tensor_is_a_module() -> None:
    """Let ``engine.tensor(x)`` raise a TypeError that says what to write."""
    sys.modules["engine.tensor"].__class__ = _TensorModule
