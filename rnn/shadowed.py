"""Say which file of the user's is in the place of the engine. Imported before all of `rnn`.

A script called ``engine.py`` comes before installed packages, and its errors would then name
neither the script nor the cause. Nothing is imported to find out.
"""

from importlib.util import find_spec
from pathlib import Path


def check() -> None:
    """Raise ImportError where ``import engine`` finds something else than the engine of bptt."""
    spec = find_spec("engine")
    folders = (spec.submodule_search_locations if spec else None) or ()
    if any(Path(one, "registry.py").is_file() for one in folders):
        return
    found = (spec.origin if spec else None) or next(iter(folders), None)
    if found is None:
        raise ImportError("rnn needs the package `engine` of bptt, which is not there")
    raise ImportError(
        f"import engine finds {found}, which is not the engine of bptt; give that file another name"
    )


check()
