"""Write a module as text: its class, the settings it was made with, the modules in it.

Below `module.py`.
"""

from inspect import Parameter, signature
from numbers import Number
from typing import Any

from rnn.modules.tree import Tree

SHOWN = (str, Number, tuple)


def text(module: Tree[Any], inside: tuple[Tree[Any], ...] = ()) -> str:
    """Write a module as its constructor would be called, and under it the modules that it holds.

    Behind each stands the number of its parameters, with those of the modules that it holds; tied
    ones count once. A module that holds itself is written once.
    """
    name, settings = type(module).__name__, ", ".join(described(module))
    if any(module is outer for outer in inside):
        return f"{name}(...)"
    parts = [f"  ({path}): {text(child, (*inside, module))}".replace("\n", "\n  ")
             for path, child in module.named_children()]  # fmt: skip
    told = counted(module, unit="" if inside else " parameters")
    if not parts:
        return f"{name}({settings}){told}"
    return "\n".join([f"{name}({settings}{told}", *parts, ")"])


def counted(module: Tree[Any], *, unit: str) -> str:
    """Write how many numbers the parameters hold, and how many of them are trained if not all.
    Nothing where they cannot be listed, as when an array took the place of one: a repr never fails.
    """
    try:
        own = module.parameters()
    except (TypeError, ValueError):
        return ""
    total, trained = (
        sum(x.size for x in one) for one in (own, [x for x in own if x.requires_grad])
    )
    if not own:
        return ""
    return f"  # {total:,}{unit}" + (f", {trained:,} of them trainable" if trained < total else "")


def described(module: Tree[Any]) -> list[str]:
    """Write the settings that differ from their defaults, or the shapes of its own parameters. What
    was given by place is written so where the module keeps it under the same name.
    """
    found = []
    own = vars(module)
    for name, one in signature(type(module).__init__).parameters.items():
        value = own.get(name)
        missing = one.default is Parameter.empty
        if one.default is True and name in own and value is None:  # bias=False leaves None
            found.append(f"{name}=False")
        elif isinstance(value, SHOWN) and (missing or value != one.default):
            written = str(value) if isinstance(value, Number) else repr(value)  # no np.int64(3)
            found.append(written if missing else f"{name}={written}")
    return found or [f"{name}: {x.shape}" for name, x in module.named_parameters(recurse=False)]


def sizes(value: Any) -> str:
    """Write the shapes of a pytree of tensors, such as ``[(7, 2, 5), (2, 5)]``."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {sizes(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(sizes, value)) + "]"
    return str(tuple(value.shape)) if hasattr(value, "shape") else type(value).__name__
