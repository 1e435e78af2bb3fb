"""List where ours may differ from torch on its samples, and why; and the ops that torch lacks.

Every entry must be needed: `test_torch_samples.py` fails on one that covers no difference, with
the version of torch that the entries were made with.
"""

import re
from typing import NamedTuple

from tests.engine.ops.torch_sample_checks import Fault

MADE_WITH = "2.13"


class Difference(NamedTuple):
    """Excuse faults of some ops of torch, checks and draws (any if empty), with a reason."""

    ops: str
    checks: str
    draws: str
    why: str
    seen: str = ""

    def covers(self, op: str, fault: Fault) -> bool:
        """Return whether this fault of this op of torch is covered."""
        return (
            op in self.ops.split()
            and fault.check in self.checks.split()
            and (not self.draws or fault.draw in self.draws.split(", "))
            and re.search(self.seen, fault.seen) is not None
        )


BINARY_CORNERS = "zeros, integers, special"
OUR_NAN, TORCH_NAN = ": -?nan, torch", ", torch -?nan"
EMPTY = "rows 0, width 0"

EXCEPTIONS = [
    # ---- torch is wrong, or has no number
    Difference("sign", "value", "special, nan", "torch says that the sign of NaN is 0", OUR_NAN),
    Difference("abs", "vjp", "special", "NaN has no sign; torch says 0", OUR_NAN),
    Difference("sinc", "second jvp", "zeros, integers", "torch has NaN at 0", TORCH_NAN),
    Difference("nn.functional.silu nn.functional.gelu", "value", "special", "torch: NaN at -inf",
               TORCH_NAN),
    Difference("remainder", "value", "special", "torch: NaN where x / y overflows",
               TORCH_NAN),
    Difference("hypot", "vjp second jvp", BINARY_CORNERS, "0 at 0 as the norm",
               TORCH_NAN),
    Difference("hypot", "vjp", "special", "torch rounds g x among subnormal numbers"),
    Difference("logaddexp", "vjp", "special", "halves at equal infinities", TORCH_NAN),
    Difference("pow", "second jvp", "zeros, integers", "torch has NaN at the base 0", TORCH_NAN),
    Difference("std std/unbiased", "jvp", "zeros, ties, integers, one", "0 at 0", TORCH_NAN),
    Difference("std", "jvp", EMPTY, "0 / 1 is 0", TORCH_NAN),
    Difference("std var", "value", EMPTY, "0 / 1 is 0, as in NumPy", TORCH_NAN),
    Difference("norm linalg.vector_norm", "second jvp", f"zeros, integers, {EMPTY}",
               "0 at 0", TORCH_NAN),
    Difference("clamp", "vjp jvp", "equal", "bounds that are one tensor: torch loses a gradient"),
    Difference("take_along_dim", "refused", "one", "torch reads outside of the tensor", "bounds"),
    Difference("pow", "second", "integers", "torch loses 1 / x at the exponent 0"),
    Difference("linalg.det", "second", "zeros, integers", "a polynomial", TORCH_NAN),
    Difference("atan2", "second", "zeros, integers", "0 at 0", TORCH_NAN),
    # ---- the convention is another one
    Difference("std std/unbiased", "second", "zeros, ties, one, integers", "none at 0", OUR_NAN),
    Difference("pow", "vjp", "special", "NaN to the power 0", OUR_NAN),
    Difference("linalg.svdvals", "vjp jvp second", "zeros", "a singular value of 0: 0"),
    Difference("linalg.matrix_norm", "vjp jvp", "zeros", "a singular value of 0: 0"),
    Difference("linalg.eigvalsh", "vjp jvp", "zeros", "equal values have no derivative", OUR_NAN),
    Difference("linalg.eigh linalg.svd", "jvp", "zeros", "equal values have none", OUR_NAN),
    Difference("copysign", "second", "zeros, integers", "0 at x = 0, as |x| has", TORCH_NAN),
    Difference("copysign", "vjp", "special", "a NaN has a sign, infinities a size", TORCH_NAN),
    Difference("nn.functional.silu nn.functional.gelu", "vjp", "special",
               "the limit 0 at -inf", TORCH_NAN),
    Difference("atan2", "vjp", "special", "torch's squares underflow"),
    Difference("nextafter", "vjp jvp", "", "a step of the grid is constant; torch has 1"),
    Difference("nn.functional.elu", "second", "zeros, integers", "at 0 the slope of the left"),
    Difference("clamp clamp_min clamp_max", "vjp jvp", "zeros, ties, integers, special",
               "a bound that is an array shares the gradient as in maximum"),
    Difference("fmax fmin", "vjp jvp", "zeros, ties, integers, special",
               "equal numbers share the gradient as in maximum"),
    Difference("kthvalue", "vjp jvp", "zeros, ties, integers",
               "of ties the one that a stable sort puts there; torch has any"),
    Difference("max/reduction_with_dim min/reduction_with_dim", "vjp jvp",
               "zeros, ties, integers", "ties share the gradient; torch picks one"),
    Difference("topk", "value vjp jvp", "zeros, ties, integers, int64, uint8",
               "of ties the first; torch has any", " of "),
    Difference("mean nn.functional.l1_loss nn.functional.mse_loss nn.functional.huber_loss"
               " nn.functional.binary_cross_entropy_with_logits nn.functional.cross_entropy",
               "jvp", EMPTY, "the derivative of the mean of nothing is 0 / 0", OUR_NAN),
    Difference("var var/unbiased", "vjp jvp second", "", "0 / 0 of too few", OUR_NAN),
    Difference("linalg.svdvals", "vjp jvp second", "ties", "equal values: any order"),
    Difference("linalg.eigvalsh", "vjp jvp second", "ties, integers", "equal values: any order"),
    Difference("linalg.eigh linalg.svd linalg.qr", "value vjp jvp second", "ties",
               "equal values or dependent columns: any basis"),
    Difference("linalg.eigh", "value vjp jvp second", "integers", "equal values: any basis"),
    Difference("linalg.svd", "vjp jvp", "integers", "a singular value of 0: NaN or inf"),
    Difference("linalg.qr", "vjp jvp", "integers", "dependent columns have no derivative"),
    Difference("linalg.cholesky", "accepted", "nan", "NaN gives NaN, as in NumPy"),
    Difference("linalg.det linalg.inv linalg.matrix_power linalg.slogdet", "value",
               "nan, infinite", "what LAPACK makes of them, as in NumPy"),
    Difference("softmax log_softmax nn.functional.cross_entropy", "value", "infinite",
               "the limit beside an infinity; torch has NaN", TORCH_NAN),
    Difference("nn.functional.binary_cross_entropy_with_logits", "value", "infinite",
               "inf - inf", OUR_NAN),
    # ---- ours is wider
    Difference("clamp", "accepted", "special", "without bounds x is as it is"),
    Difference("mean", "accepted", "refused", "integers have a mean, as in NumPy"),
    Difference("trace", "accepted", "refused", "batches of matrices"),
    Difference("roll", "accepted", "refused", "no shifts: x as it is, as in NumPy"),
    Difference("linalg.cross", "accepted", "refused", "ranks broadcast, as in the standard"),
    Difference("view take_along_dim nn.functional.nll_loss", "accepted", "strided",
               "no order in memory is asked for", "result"),
    Difference("linalg.slogdet", "accepted", "zeros, ties, integers",
               "of a singular matrix 0 and -inf, only the derivative is NaN"),
    Difference("nn.functional.conv1d nn.functional.conv2d", "accepted", "rows 0, refused",
               "no outputs, and dtypes that promote"),
    Difference("median", "accepted", f"{EMPTY}, int64, uint8", "as NumPy's, of nothing NaN"),
    Difference("median", "value", "infinite", "torch.quantile has inf - inf", TORCH_NAN),
    Difference("nn.functional.pad/reflect nn.functional.pad/replicate nn.functional.pad/circular",
               "accepted", "one, rows 0", "padding wider than x, as in NumPy"),
    Difference("nn.functional.embedding", "accepted", "refused", "rows of any shape"),
    Difference("index_put", "accepted", "width 0", "a mask of nothing, as in NumPy"),
    Difference("norm norm/inf linalg.vector_norm", "accepted", EMPTY, "as NumPy, of nothing"),
    # ---- ours is narrower
    Difference("nn.functional.pad/reflect nn.functional.pad/replicate nn.functional.pad/circular",
               "refused", "", "negative widths are cuts, not copies", "negative width"),
    Difference("logsumexp topk kthvalue median cummax linalg.vector_norm sort argsort transpose"
               " squeeze index_select index_add cumsum cumprod", "refused", "",
               "the standard asks for a dimension", "0 dimensions"),
    Difference("nonzero", "refused", "", "the standard asks for a dimension", "no positions"),
    Difference("squeeze", "refused", "", "an axis of another size is no slip", "not of size 1"),
    Difference("linalg.vecdot", "refused", "", "the standard counts from the end", "must lie in"),
    Difference("tensordot", "refused", "", "sizes 1 and n: no broadcasting, as in NumPy"),
    Difference("cat", "refused", "", "torch's old rule of empty vectors", "has 2 dimensions"),
    Difference("nn.functional.conv1d nn.functional.conv2d", "refused", "",
               "a batch is asked for", "expected x"),
    Difference("nn.functional.layer_norm", "refused", "", "a negative eps", "eps must be"),
    Difference("linalg.solve", "refused value jvp", "",
               "only a vector is a vector, as in the standard", "equations for|shape"),
    Difference("add sub full_like index_add", "refused", "uint8",
               "a negative number beside uint8, as in NumPy", "out of bounds"),
    Difference("index_put", "refused", "bool", "truth values do not add up", "same_kind"),
    Difference("sign", "refused", "bool", "truth values have no sign, as in NumPy"),
]  # fmt: skip

# Faults of ours that are known. An entry goes when its fault is mended.
KNOWN: list[Difference] = [
]  # fmt: skip

EXCUSED = {
    "compared with NumPy as the standard's functions": """
        __array_namespace_info__ arange asarray astype can_cast empty empty_like eye finfo
        from_dlpack full iinfo isdtype linspace ones result_type unique_all zeros""",
    "the same function is compared as engine's own": """
        linalg.matmul linalg.matrix_transpose linalg.outer linalg.tensordot linalg.vecdot""",
    "draws at random, or concerns complex numbers": "dropout imag",
    "the engine's own: derivatives, graphs, recurrences, devices": """
        associative_scan autocast checkpoint cond custom_op custom_vjp cut_gradients
        detect_anomaly deterministic device equations expanded explain_scan explicit
        fori_loop get_matmul_precision get_num_threads grad gradcheck gradient_norms
        gradients hessian hessian_vector_product jacobian jvp memory name_leaf no_grad
        profile release_memory scan scan_body seed set_matmul_precision set_memory_bound
        set_num_threads stop_gradient synchronize to tracing unstacked value_and_grad vjp
        vmap while_loop""",
}
