"""An array namespace that differentiates: tensors, explicit graphs, derivatives, recurrences.

Every rule of an op is written once against a namespace `xp`; called with NumPy or CuPy it
computes, called with this package it records. In reading order: `op.py`, `node.py`, `scope.py`,
`tensor.py`, `apply.py`, `registry.py`, `backward.py`; then the rooms `ops/`, `derivatives/`,
`namespace/` (the array API), `reading/` (questions to graphs), `naming/` (variables of a step),
`debug/`, `backends/`, and `scan/`, which runs recurrences.
"""

from typing import Any

from engine import linalg, operators, ops, random, testing
from engine.apply import name_leaf
from engine.backends.half import bfloat16 as _bfloat16
from engine.backends.precision import autocast, get_matmul_precision, set_matmul_precision
from engine.backward import gradients
from engine.custom import custom_op, custom_vjp
from engine.debug.anomaly import AnomalyError, detect_anomaly
from engine.debug.profiling import Profile, profile
from engine.derivatives.checkpoint import checkpoint
from engine.derivatives.cut_gradients import cut_gradients
from engine.derivatives.forward_mode import hessian, hessian_vector_product, jacobian, jvp
from engine.derivatives.gradcheck import GradientError, gradcheck
from engine.derivatives.norms import gradient_norms
from engine.derivatives.transforms import grad, value_and_grad, vjp
from engine.errors import RecurrenceWarning
from engine.graph import Graph
from engine.instead import INSTEAD, say_that_tensor_is_a_module
from engine.namespace import standard
from engine.namespace.conversion import asarray
from engine.namespace.devices import (
    device,
    memory,
    release_memory,
    set_memory_bound,
    synchronize,
    to,
)
from engine.namespace.standard import *
from engine.namespace.standard import __array_api_version__, __array_namespace_info__
from engine.node import Node
from engine.op import Op
from engine.ops import *
from engine.random import seed
from engine.registry import REGISTRY
from engine.scan import Body, explain_scan, scan, scan_body
from engine.scan.associative import associative_scan
from engine.scan.c import losses as compiled_losses
from engine.scan.c import products
from engine.scan.c.products import get_num_threads, set_num_threads
from engine.scan.expansion import expanded
from engine.scan.mapping import vmap
from engine.scan.unstacking import unstacked
from engine.scope import Scope
from engine.state import deterministic, equations, no_grad, scope, tracing
from engine.stepping import explicit
from engine.tensor import Tensor

operators.install()
products.install()
compiled_losses.install()
say_that_tensor_is_a_module()

__all__ = [
    "REGISTRY",
    "AnomalyError",
    "Body",
    "GradientError",
    "Graph",
    "Node",
    "Op",
    "Profile",
    "RecurrenceWarning",
    "Scope",
    "Tensor",
    "__array_api_version__",
    "__array_namespace_info__",
    "asarray",
    "associative_scan",
    "autocast",
    "checkpoint",
    "custom_op",
    "custom_vjp",
    "cut_gradients",
    "detect_anomaly",
    "deterministic",
    "device",
    "equations",
    "expanded",
    "explain_scan",
    "explicit",
    "get_matmul_precision",
    "get_num_threads",
    "grad",
    "gradcheck",
    "gradient_norms",
    "gradients",
    "hessian",
    "hessian_vector_product",
    "jacobian",
    "jvp",
    "linalg",
    "memory",
    "name_leaf",
    "no_grad",
    "profile",
    "random",
    "release_memory",
    "scan",
    "scan_body",
    "scope",
    "seed",
    "set_matmul_precision",
    "set_memory_bound",
    "set_num_threads",
    "synchronize",
    "testing",
    "to",
    "tracing",
    "unstacked",
    "value_and_grad",
    "vjp",
    "vmap",
]
__all__ += standard.__all__
__all__ += ops.__all__  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    """Return ``engine.bfloat16``, which is there where ml_dtypes is.

    Raises AttributeError for another name, with what to write where NumPy or PyTorch have it.
    """
    if name == "bfloat16":
        return _bfloat16()
    hint = f"; write {INSTEAD[name]}" if name in INSTEAD else ""
    raise AttributeError(f"module 'engine' has no attribute {name!r}{hint}")
