"""Say which file of the user's is in the place of a package of bptt. Imported before all of `rnn`.

A script called ``engine.py`` comes before installed packages, and its errors would then name
neither the script nor the cause. Nothing is imported to find out.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

MARKS = {"engine": "registry.py", "rnn": "shadowed.py", "viz": "diagram.py"}  # a file of each


def check(name: str) -> None:
    """Raise ImportError where ``import name`` finds something else than the package of bptt."""
    spec = find_spec(name)
    folders = (spec.submodule_search_locations if spec else None) or ()
    if _is_ours(name, folders):
        return
    found = (spec.origin if spec else None) or next(iter(folders), None)
    if found is None:
        raise ImportError(f"bptt needs its package `{name}`, which is not there")
    raise ImportError(
        f"import {name} finds {found}, which is not the {name} of bptt; give that file another name"
    )


def shadowing(folder: Path) -> list[Path]:
    """Return the files and packages in a folder that scripts there import in the place of ours."""
    found = []
    for name in MARKS:
        package, module = folder / name, folder / f"{name}.py"
        if (package / "__init__.py").is_file():
            if not _is_ours(name, [package]):
                found.append(package)
        elif module.is_file():
            found.append(module)
    return found


def _is_ours(name: str, folders: Iterable[str | Path]) -> bool:
    return any(Path(one, MARKS[name]).is_file() for one in folders)


check("engine")
