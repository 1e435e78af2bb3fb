"""Read and write the files of Keras 3, ``.keras`` and ``.weights.h5``: arrays by their path in it.

Below the conversion of layers. h5py is imported where a file is read or written.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.backends import Array
from rnn.serialization.files import replace_files

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"
# As of the layout of files that is written here, in which Keras looks for its own changes.
VERSION = "3.0.0"
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip: the same model, the same bytes


class Saved(NamedTuple):
    """Hold a Keras file: the configuration, None of weights alone, and arrays by path."""

    config: dict[str, Any] | None
    arrays: dict[str, Array]


def read_file(path: str | Path, where: str) -> Saved:
    """Return what is in a ``.keras`` or ``.weights.h5`` file. Raises ValueError for other files,
    such as those of Keras 2, and ImportError without h5py.
    """
    path = Path(path)
    content = path.read_bytes()
    if content.startswith(b"\x89HDF"):
        return Saved(None, _arrays(content, path, where))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            config = json.loads(archive.read(CONFIG))
            return Saved(config, _arrays(archive.read(WEIGHTS), path, where))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{where}: {path} is neither a .keras file of Keras 3 nor an .h5 file of weights "
            f"({error}); write one by model.save('model.keras')"
        ) from None


def write_file(path: str | Path, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a ``.keras`` file, which ``keras.models.load_model`` reads, whole or not at all. Raises
    OSError where it cannot be written, and ImportError without h5py.
    """
    h5py = _h5py("export_keras")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, x in arrays.items():
            file.create_dataset(name, data=x, track_times=False)
    found = io.BytesIO()
    parts: dict[str, str | bytes] = {
        METADATA: json.dumps({"keras_version": VERSION}),
        CONFIG: json.dumps(config),
        WEIGHTS: weights.getvalue(),
    }
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name, WRITTEN), part, zipfile.ZIP_DEFLATED)
    replace_files({Path(path): found.getvalue()})


def _arrays(content: bytes, path: Path, where: str) -> dict[str, Array]:
    """Return all arrays of an HDF5 file by path. Raises ValueError for one of Keras 2."""
    h5py = _h5py(where)
    found: dict[str, Array] = {}
    try:
        opened = h5py.File(io.BytesIO(content), "r")
    except OSError as error:
        raise ValueError(f"{where}: the weights in {path} are damaged ({error})") from None
    with opened as file:
        if "layer_names" in file.attrs or "model_weights" in file:
            raise ValueError(
                f"{where}: {path} is in the format of Keras 2; load it in Keras 3 and write it "
                "again by model.save('model.keras')"
            )

        def note(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                found[name] = node[()]

        file.visititems(note)
    return found


def _h5py(where: str) -> Any:
    """Return h5py. Raises ImportError that says how to install it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{where}: files of Keras are read and written by h5py; "
            "pip install '.[keras]' in a clone of bptt, or pip install h5py"
        ) from error
    return h5py
