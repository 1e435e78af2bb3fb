"""Write the reference: a page for each group of public names, and the table of the ops.

`make docs` runs it before Sphinx reads the pages. Nothing is listed by hand: names come from the
`__all__` of the packages and of their public modules, ops from the registry. `NAMES` has them all.
"""

import re
from collections.abc import Iterator
from inspect import isclass, ismodule
from pathlib import Path
from types import ModuleType
from typing import Any

import engine
import rnn
import viz

PACKAGES = (engine, rnn, viz)
INSIDE = re.compile(r"\.py`|\w/`|^(?:Above|Below)\b")  # what a sentence for developers has
HEAD = ".. This file is made by docs/make_reference.py.\n\n"


def public(module: ModuleType) -> list[str]:
    """Return the public names of a module: its `__all__`, or what is defined in it."""
    if (listed := getattr(module, "__all__", None)) is not None:
        return sorted(set(listed), key=lambda name: (name.lower(), name))
    own = {name for name, value in vars(module).items()
           if getattr(value, "__module__", "") == module.__name__}  # fmt: skip
    return sorted(name for name in own if not name.startswith("_"))


def modules(package: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    """Yield a package and its public modules, each by the name that a user writes."""
    yield package.__name__, package
    for name in public(package):
        if ismodule(value := getattr(package, name)):
            yield f"{package.__name__}.{name}", value


def names() -> dict[str, Any]:
    """Return every public name, as a user writes it, with what it stands for."""
    return {f"{path}.{name}": getattr(module, name)
            for package in PACKAGES
            for path, module in modules(package)
            for name in public(module)}  # fmt: skip


NAMES = names()


def group(path: str) -> str:
    """Return the page that a name is on: that of its module, or of its part of a large package."""
    value, module = NAMES[path], path.rpartition(".")[0]
    name = path.rpartition(".")[2]
    if module == "engine":
        if hasattr(value, "op") or name in engine.ops.__all__:
            return "engine: ops"
        return "engine: array API" if name in engine.standard.__all__ else "engine"
    if module == "rnn" and isclass(value) and issubclass(value, rnn.Cell):
        return "rnn: cells"
    return module


def first() -> dict[int, str]:
    """Return the name under which each function and class is described, by its identity."""
    found: dict[int, str] = {}
    for path, value in NAMES.items():
        if callable(value) and not ismodule(value):
            held = found.setdefault(id(value), path)
            if path.count(".") < held.count("."):
                found[id(value)] = path
    return found


FIRST = first()


def entry(path: str) -> str:
    """Return the directive that describes a name."""
    value, (module, _, name) = NAMES[path], path.rpartition(".")
    if ismodule(value):
        first = for_users(value.__doc__ or "").partition("\n\n")[0]
        where = f"See :doc:`{file(path)}`. {first}"
        return f".. py:module:: {path}\n\n.. py:currentmodule:: None\n\n{where}\n"
    if not callable(value):
        held = f"a dictionary of {len(value)} ops" if isinstance(value, dict) else repr(value)
        return f".. py:data:: {name}\n   :module: {module}\n   :value: {held}\n"
    kind = "class" if isclass(value) else "function"
    if (own := FIRST[id(value)]) != path:
        return (f".. py:{kind}:: {name}\n   :module: {module}\n\n"
                f"   The same as :py:obj:`{own}`.\n")  # fmt: skip
    members = "   :members:\n   :show-inheritance:\n" if kind == "class" else ""
    if kind == "class" and any(
        id(base) not in FIRST and base.__module__.startswith("engine.") for base in value.__bases__
    ):  # a base without a page: what it has stands with the class
        members += "   :inherited-members:\n"
    return f".. auto{kind}:: {path}\n{members}"


def file(title: str) -> str:
    """Return the name of the file of a page, without its suffix."""
    return title.replace(": ", "_").replace(" ", "_").replace(".", "_").lower()


def page(title: str, paths: list[str]) -> str:
    """Return a page of the reference."""
    module = dict(pair for package in PACKAGES for pair in modules(package)).get(title)
    told = "" if module is None else f"{for_users(module.__doc__ or '')}\n\n"
    return f"{HEAD}{title}\n{'=' * len(title)}\n\n{told}" + "\n".join(map(entry, paths))


def for_users(text: str) -> str:
    """Return the docstring of a module without its sentences on files, and on what is above it."""
    parts = (re.split(r"(?<=\.)\s+(?=[A-Z`])", part) for part in text.strip().split("\n\n"))
    kept = (" ".join(one for one in part if not INSIDE.search(one)) for part in parts)
    return "\n\n".join(filter(None, kept))


def cell(text: str) -> str:
    """Return a cell of a table: text as it is."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*")


def ops() -> str:
    """Return the table of all ops of the registry."""
    title = "All ops"
    lines = [
        f"{HEAD}{title}\n{'=' * len(title)}\n",
        "The registry has a record of each op; `engine.Op` says what its fields mean. An op",
        "without a derivative stops gradients; one that is not time-batched is computed step by",
        "step in a recurrence;\none without C is written in the ops of its rule, or the "
        "recurrence runs on arrays.\n",
        ".. list-table::\n   :header-rows: 1\n",
        row("op", "kind", "linear in its inputs as", "derivative", "time-batched", "C"),
    ]
    for name, op in sorted(engine.REGISTRY.items()):
        shown = f":py:obj:`{name} <engine.{name}>`" if f"engine.{name}" in NAMES else f"``{name}``"
        batched = op.kind == "elementwise" or op.time_batch is not None
        derived = op.vjp is not None and op.vjp != () and (
            not isinstance(op.vjp, tuple) or any(rule is not None for rule in op.vjp))  # fmt: skip
        lines.append(row(shown, op.kind, op.degree or "–", yes(derived), yes(batched), yes(op.c)))
    return "\n".join(lines) + "\n"


def row(*cells: str) -> str:
    """Return a row of a list-table."""
    return "\n".join(f"   {'  ' if at else '* '}- {one}" for at, one in enumerate(cells))


def yes(value: Any) -> str:
    """Return yes or no."""
    return "yes" if value else "no"


def pages() -> dict[str, str]:
    """Return the text of every page by the name of its file."""
    groups: dict[str, list[str]] = {}
    for path in NAMES:
        groups.setdefault(group(path), []).append(path)
    made = {f"{file(title)}.rst": page(title, paths) for title, paths in groups.items()}
    return {**made, "all_ops.rst": ops()}


def write(folder: Path) -> None:
    """Write all pages into a folder; one that is as it was is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.rst"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
