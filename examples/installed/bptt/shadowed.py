"""Say which file of the user's is in the place of `rnn`, which checks `engine` itself.

Nothing is imported to find out. Below all of this package.
"""

from importlib.util import find_spec
from pathlib import Path

_spec = find_spec("rnn")
_folders = (_spec.submodule_search_locations if _spec else None) or ()
if _spec and not any(Path(one, "shadowed.py").is_file() for one in _folders):
    raise ImportError(
        f"import rnn finds {_spec.origin}, which is not the rnn of bptt; give that file another "
        "name"
    )
