"""Tabulate the ops that torch has, too: our names, torch's, our call with torch's arguments.

An entry is ``our names | torch's ops | parameters: call``, where `f` is our function and ``=``
stands for our name; indented lines continue it. `ROWS` are those of functions that we have. Below:
`torch_sample_calls.py`. Above: `test_torch_samples.py`; what may differ is in
`torch_sample_exceptions.py`.
"""

from typing import Any

import engine
from engine import linalg
from tests.engine.ops import torch_sample_calls as calls
from tests.engine.ops.torch_sample_checks import Row

ELEMENTWISE = """
abs acos acosh asin asinh atan atanh ceil conj cos cosh erf exp exp2 expm1 | = | x: f(x)
floor isfinite isinf isnan log log10 log1p log2 logical_not positive real | = | x: f(x)
reciprocal rsqrt sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc | = | x: f(x)
negative | neg | x: f(x)
bitwise_invert | bitwise_not | x: f(x)
relu | nn.functional.relu | x: f(x)
silu | nn.functional.silu | x: f(x)
softplus | nn.functional.softplus | x, **k: f(x, **known("softplus", k))
elu | nn.functional.elu | x, alpha=1.0: f(x, alpha)
leaky_relu | nn.functional.leaky_relu | x, negative_slope=0.01: f(x, negative_slope)
gelu | nn.functional.gelu | x, approximate="none": f(x, approximate=approximate)
round | = | x: f(x)
round | round/decimals_0 round/decimals_3 round/decimals_neg_3 | x, **k: f(x, **known("round", k))
atan2 copysign fmax fmin floor_divide hypot logaddexp | = | x, y: f(x, y)
logical_and logical_or logical_xor maximum minimum nextafter pow remainder | = | x, y: f(x, y)
bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift | = | x, y: f(x, y)
power | pow | x, y: f(x, y)
multiply | mul | x, y: f(x, y)
divide | true_divide | x, y: f(x, y)
divide | div/no_rounding_mode div/floor_rounding | x, y, rounding_mode=None:
    divide(x, y, rounding_mode)
equal | eq | x, y: f(x, y)
not_equal | ne | x, y: f(x, y)
greater | gt | x, y: f(x, y)
greater_equal | ge | x, y: f(x, y)
less | lt | x, y: f(x, y)
less_equal | le | x, y: f(x, y)
add | = | x, y, alpha=1: f(x, y if alpha == 1 else alpha * y)
subtract | sub | x, y, alpha=1: f(x, y if alpha == 1 else alpha * y)
clip | clamp | x, min=None, max=None: f(x, min, max)
clip | clamp_min | x, low: f(x, low)
clip | clamp_max | x, high: f(x, None, high)
"""

OTHERS = """
where | = | x, condition, y: f(condition, x, y)
max | amax | x, dim=None, keepdim=False: f(x, axis=axes(dim), keepdims=keepdim)
min | amin | x, dim=None, keepdim=False: f(x, axis=axes(dim), keepdims=keepdim)
all any argmax argmin mean | = | x, dim=None, keepdim=False: f(x, axis=axes(dim), keepdims=keepdim)
sum logsumexp | = | x, dim=None, keepdim=False: f(x, axis=axes(dim), keepdims=keepdim)
prod | = | x, dim=None, keepdim=False: f(x, axis=dim, keepdims=keepdim)
max | max/reduction_no_dim | x: f(x)
min | min/reduction_no_dim | x: f(x)
max | max/reduction_with_dim | x, dim=None, keepdim=False: extreme("max", x, dim, keepdim)
min | min/reduction_with_dim | x, dim=None, keepdim=False: extreme("min", x, dim, keepdim)
count_nonzero | = | x, dim=None: f(x, axis=axes(dim))
std | = std/unbiased | x, dim=None, unbiased=True, correction=None, keepdim=False:
    spread("std", x, dim, unbiased, correction, keepdim)
var | = var/unbiased | x, dim=None, unbiased=True, correction=None, keepdim=False:
    spread("var", x, dim, unbiased, correction, keepdim)
cumsum cumprod cummax | = | x, dim: f(x, axis=dim)
cumulative_sum | cumsum | x, dim: f(x, axis=dim)
cumulative_prod | cumprod | x, dim: f(x, axis=dim)
diff | = | x, n=1, dim=-1, prepend=None, append=None:
    f(x, n=n, axis=dim, prepend=prepend, append=append)
norm | = norm/inf | x, p=2, dim=None, keepdim=False: f(x, ord=p, axis=axes(dim), keepdims=keepdim)
linalg.vector_norm | = | x, ord=2, dim=None, keepdim=False:
    f(x, ord=ord, axis=axes(dim), keepdims=keepdim)
median | = | x, dim=None, keepdim=False: values(f(x, axis=dim, keepdims=keepdim))
kthvalue | = | x, k, dim=-1, keepdim=False: values(f(x, k, axis=dim, keepdims=keepdim))
sort | = | x, dim=-1, descending=False, stable=True:
    [g(x, axis=dim, descending=descending) for g in (f, engine.argsort)]
argsort | = | x, dim=-1, descending=False, stable=True: f(x, axis=dim, descending=descending)
topk | = | x, k, dim=-1, largest=True, sorted=True: f(x, k, axis=dim, largest=largest)
nonzero | = | x, as_tuple=False: f(x) if as_tuple else engine.stack(f(x), axis=-1)
isin | = | x, values, invert=False, assume_unique=False: f(x, values, invert=invert)
searchsorted | = | x, v, out_int32=False, right=False, side=None, sorter=None:
    searchsorted(x, v, out_int32, side or ("right" if right else "left"), sorter)
unique_values | unique | x, sorted=True, return_inverse=False, return_counts=False, dim=None:
    unique(f, x, return_inverse + 2 * return_counts == 0 and dim is None)
unique_inverse | unique | x, sorted=True, return_inverse=False, return_counts=False, dim=None:
    unique(f, x, return_inverse + 2 * return_counts == 1 and dim is None)
unique_counts | unique | x, sorted=True, return_inverse=False, return_counts=False, dim=None:
    unique(f, x, return_inverse + 2 * return_counts == 2 and dim is None)
matmul | = mm bmm mv | x, y: f(x, y)
matmul | __rmatmul__ | x, y: f(y, x)
vecdot | linalg.vecdot | x, y, dim=-1: f(x, y, axis=dim)
vecdot | dot | x, y: f(x, y)
tensordot | = | x, y, dims=2: f(x, y, axes=dims)
tensordot | inner | x, y: inner(x, y)
outer kron | = | x, y: f(x, y)
einsum | = | xs, equation: f(equation, *xs)
linear | nn.functional.linear | x, w, b=None: f(x, w, b)
conv1d | nn.functional.conv1d | x, w, bias=None, stride=1, padding=0, dilation=1, groups=1:
    f(x, w, bias, stride=one(stride), padding=one(padding), dilation=one(dilation), groups=groups)
conv2d | nn.functional.conv2d | x, w, bias=None, stride=1, padding=0, dilation=1, groups=1:
    f(x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
reshape | = view | x, shape: f(x, shape)
reshape | ravel | x: f(x, -1)
permute_dims | permute | x, dims: f(x, dims)
moveaxis | movedim | x, source, destination: f(x, source, destination)
swapaxes | transpose | x, a, b: f(x, a, b)
matrix_transpose | mT | x: f(x)
squeeze | = | x, dim: f(x, axis=dim)
expand_dims | unsqueeze | x, dim: f(x, axis=dim)
broadcast_to | = | x, shape: f(x, shape)
broadcast_to | expand | x, shape: expanded(x, shape)
broadcast_arrays | broadcast_tensors | *xs: f(*xs)
broadcast_shapes | = | *shapes: f(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes])
concat | cat | xs, dim=0: f(xs, axis=dim)
stack | = | xs, dim=0: f(xs, axis=dim)
unstack | unbind | x, dim=0: f(x, axis=dim)
split | split/list_args split_with_sizes | x, sizes, dim=0: split(x, sizes, dim)
split | tensor_split | x, at, dim=0: tensor_split(x, at, dim)
flip | = | x, dims: f(x, axis=axes(dims))
flip | fliplr | x: f(x, axis=1)
flip | flipud | x: f(x, axis=0)
roll | = | x, shifts, dims=None: f(x, axes(shifts), axis=axes(dims))
tile | = repeat | x, dims: f(x, dims)
repeat | repeat_interleave | x, repeats, dim=None: f(x, repeats, axis=dim)
meshgrid | meshgrid/list_of_tensors | xs, indexing="ij": f(*xs, indexing=indexing)
diag tril triu | = | x, diagonal=0: f(x, k=diagonal)
diagonal | = | x, offset=0, dim1=0, dim2=1: f(x, offset=offset, axis1=dim1, axis2=dim2)
linalg.diagonal | = | x, offset=0: f(x, offset=offset)
trace linalg.trace | trace | x: f(x)
pad | nn.functional.pad/constant | x, width, mode="constant", value=0.0: pad(x, width, mode, value)
pad | nn.functional.pad/reflect | x, width, mode="constant", value=0.0: pad(x, width, mode, value)
pad | nn.functional.pad/replicate | x, width, mode="constant", value=0.0: pad(x, width, mode, value)
pad | nn.functional.pad/circular | x, width, mode="constant", value=0.0: pad(x, width, mode, value)
pad | constant_pad_nd | x, width, value=0.0: pad(x, width, "constant", value)
take | index_select | x, dim, index: f(x, index, axis=dim)
take | = | x, index: f(engine.reshape(x, -1), index, axis=0)
take | __getitem__ | x, *key: x[key[0] if len(key) == 1 else key]
take_along_axis | take_along_dim | x, index, dim=None: take_along(x, index, dim)
put_along_axis | scatter | x, dim, index, source: put_along(x, dim, index, source)
scatter_add | index_add | x, dim, index, source, alpha=1:
    f(x, index, source if alpha == 1 else source * alpha, axis=dim)
add_at | index_put | x, key, values, accumulate=False: put(x, key, values, accumulate)
embedding | nn.functional.embedding | weight, ids, **k: f(weight, ids, **known("embedding", k))
linalg.cholesky | = | x, upper=False: f(x, upper=upper)
linalg.cross | = | x, y, dim=-1: f(x, y, axis=dim)
linalg.det linalg.inv linalg.svdvals | = | x: f(x)
linalg.matrix_norm | = | x, ord="fro", dim=(-2, -1), keepdim=False:
    matrix_norm(x, ord, dim, keepdim)
linalg.matrix_power | = | x, n: f(x, n)
linalg.matrix_rank linalg.pinv | = | x, rtol=None: f(x, rtol=rtol)
linalg.expm | matrix_exp | x: f(x)
linalg.slogdet | = | x: list(f(x))
linalg.solve | = | x, y, left=True:
    f(x, y, **({} if left else known("linalg.solve", {"left": False})))
linalg.eigvalsh | = | x, UPLO="L": f(x)
linalg.eigh | = | x, UPLO="L": squares(*f(x))
linalg.svd | = | x, full_matrices=True: squares(*f(x, full_matrices=False))
linalg.qr | = | x, mode="reduced": squares(*f(x))
softmax log_softmax | = | x, dim: f(x, axis=dim)
zeros_like ones_like | = | x: f(x)
full_like | = | x, value: f(x, value)
layer_norm | nn.functional.layer_norm | x, shape, weight=None, bias=None, eps=1e-5:
    layer_norm(x, shape, weight, bias, eps)
l1_loss | nn.functional.l1_loss | x, y, reduction="mean": f(x, y, reduction=reduction)
mse_loss | nn.functional.mse_loss | x, y, reduction="mean": f(x, y, reduction=reduction)
huber_loss | nn.functional.huber_loss | x, y, reduction="mean", delta=1.0:
    f(x, y, reduction=reduction, delta=delta)
binary_cross_entropy_with_logits | nn.functional.binary_cross_entropy_with_logits | x, y,
    weight=None, reduction="mean", pos_weight=None:
    f(x, y, weight=weight, reduction=reduction, pos_weight=pos_weight)
cross_entropy | nn.functional.cross_entropy | x, y, weight=None, ignore_index=-100, **k:
    cross_entropy(x, y, weight, ignore_index, k)
nll_loss | nn.functional.nll_loss | x, y, weight=None, ignore_index=-100, reduction="mean":
    nll_loss(x, y, weight, ignore_index, reduction)
ctc_loss | nn.functional.ctc_loss | x, y, n, m, **k: f(engine.log_softmax(x, axis=-1), y, n, m, **k)
"""

# What torch takes as keywords and has no derivative for.
FIXED = {
    "linalg.pinv": ("rtol",),
    "nn.functional.binary_cross_entropy_with_logits": ("weight", "pos_weight"),
    "nn.functional.cross_entropy": ("weight",),
    "nn.functional.nll_loss": ("weight",),
}


def rows(table: str, **options: Any) -> list[Row]:
    """Return the rows of a table, those of functions that we lack, too."""
    found = []
    for entry in table.strip().replace("\n    ", " ").splitlines():
        names, ops, call = entry.split(" | ")
        for name in names.split():
            scope = {**vars(calls), "engine": engine, "linalg": linalg, "f": calls.own(name)}
            ours = eval(f"lambda {call}", scope)
            for op in (part.replace("=", name) for part in ops.split()):
                reference, fixed = calls.REFERENCES.get(op), FIXED.get(op, ())
                found.append(Row(name, op, ours, reference, fixed=fixed, **options))
    return found


EVERY = rows(ELEMENTWISE, elementwise=True) + rows(OTHERS)
ROWS = [row for row in EVERY if calls.there(row.name)]
