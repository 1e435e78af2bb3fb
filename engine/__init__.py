"""Offer an array namespace that differentiates: tensors, explicit graphs, derivatives, recurrences.

Every rule of an op is written once against a namespace `xp`; called with NumPy or CuPy it
computes, called with this package it records. In reading order: `op.py`, `node.py`, `scope.py`,
`tensor.py`, `apply.py`, `registry.py`, `backward.py`; then the rooms `ops/`, `derivatives/`,
`namespace/` (the array API), `reading/` (questions to graphs), `naming/` (variables of a step),
`debug/`, `backends/`, and `scan/`, which runs recurrences.
"""

import typing as _typing
from types import ModuleType as _Module

from engine import linalg as linalg
from engine import operators
from engine import ops as ops
from engine import random as random
from engine import testing as testing
from engine.apply import name_leaf as name_leaf
from engine.backends.half import bfloat16 as _bfloat16
from engine.backends.precision import get_matmul_precision as get_matmul_precision
from engine.backends.precision import set_matmul_precision as set_matmul_precision
from engine.backward import gradients as gradients
from engine.control import cond as cond
from engine.control import fori_loop as fori_loop
from engine.control import while_loop as while_loop
from engine.custom import custom_op as custom_op
from engine.custom import custom_vjp as custom_vjp
from engine.debug.anomaly import AnomalyError as AnomalyError
from engine.debug.anomaly import detect_anomaly as detect_anomaly
from engine.debug.profiling import Profile as Profile
from engine.debug.profiling import profile as profile
from engine.derivatives.checkpoint import checkpoint as checkpoint
from engine.derivatives.cut_gradients import cut_gradients as cut_gradients
from engine.derivatives.forward_mode import hessian as hessian
from engine.derivatives.forward_mode import hessian_vector_product as hessian_vector_product
from engine.derivatives.forward_mode import jacobian as jacobian
from engine.derivatives.forward_mode import jvp as jvp
from engine.derivatives.gradcheck import GradientError as GradientError
from engine.derivatives.gradcheck import gradcheck as gradcheck
from engine.derivatives.norms import gradient_norms as gradient_norms
from engine.derivatives.transforms import grad as grad
from engine.derivatives.transforms import value_and_grad as value_and_grad
from engine.derivatives.transforms import vjp as vjp
from engine.errors import RecurrenceWarning as RecurrenceWarning
from engine.graph import Graph as Graph
from engine.instead import INSTEAD as _INSTEAD
from engine.instead import say_that_tensor_is_a_module as _say_that_tensor_is_a_module
from engine.namespace import standard as standard
from engine.namespace.conversion import asarray as asarray
from engine.namespace.devices import autocast as autocast
from engine.namespace.devices import device as device
from engine.namespace.devices import memory as memory
from engine.namespace.devices import release_memory as release_memory
from engine.namespace.devices import set_memory_bound as set_memory_bound
from engine.namespace.devices import synchronize as synchronize
from engine.namespace.devices import to as to
from engine.namespace.standard import *
from engine.namespace.standard import __array_api_version__ as __array_api_version__
from engine.namespace.standard import __array_namespace_info__ as __array_namespace_info__
from engine.node import Node as Node
from engine.op import Op as Op
from engine.ops import *
from engine.random import seed as seed
from engine.registry import REGISTRY as REGISTRY
from engine.scan import Body as Body
from engine.scan import explain_scan as explain_scan
from engine.scan import scan as scan
from engine.scan import scan_body as scan_body
from engine.scan.associative import associative_scan as associative_scan
from engine.scan.c import losses as compiled_losses
from engine.scan.c import products
from engine.scan.c.products import get_num_threads as get_num_threads
from engine.scan.c.products import set_num_threads as set_num_threads
from engine.scan.expansion import expanded as expanded
from engine.scan.expansion import unstacked as unstacked
from engine.scan.mapping import vmap as vmap
from engine.scope import Scope as Scope
from engine.state import deterministic as deterministic
from engine.state import equations as equations
from engine.state import no_grad as no_grad
from engine.state import scope as scope
from engine.state import tracing as tracing
from engine.stepping import explicit as explicit
from engine.suggestions import unknown_name as _unknown_name
from engine.tensor import Tensor as Tensor

__version__ = "0.2.0"  # of the three packages, and of the distribution that holds them

operators.install()
products.install()
compiled_losses.install()
_say_that_tensor_is_a_module()

if _typing.TYPE_CHECKING:
    bfloat16: _typing.Any
else:
    # What is imported above, and three modules; type checkers and editors go by the imports,
    # `from x import y as y` and `from x import *`, as they follow no list that is computed.
    __all__ = ["__array_api_version__", "__array_namespace_info__", "__version__"]
    __all__ += ["linalg", "random", "testing"]
    __all__ += [
        name for name, one in vars().items() if name[0] != "_" and not isinstance(one, _Module)
    ]

    def __getattr__(name: str) -> _typing.Any:
        """Return ``engine.bfloat16``, which is there where ml_dtypes is.

        Raises AttributeError for another name, with what to write where NumPy or PyTorch have it.
        """
        if name == "bfloat16":
            return _bfloat16()
        hint = _unknown_name(name, _INSTEAD, __all__)
        raise AttributeError(f"module 'engine' has no attribute {name!r}{hint}")

    def __dir__() -> list[str]:
        """Return the public names alone: the rooms of the package are not part of its namespace."""
        return __all__
