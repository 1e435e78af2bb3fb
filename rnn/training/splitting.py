"""Cut data in two: what is trained on, and the last share, to validate on. Below `arguments.py`."""

from typing import Any

from rnn.data.loader import Loader, cut_at


def split(data: Any, share: float) -> tuple[Any, Any]:
    """Return the data without its last `share`, and that: of a list its batches, of a loader its
    examples.

    Raises TypeError for data that cannot be cut, ValueError where a part would be empty.
    """
    if isinstance(data, Loader):
        return data.split(share)
    if isinstance(data, list):
        place = cut_at("fit: validation_split", len(data), share)
        return data[:place], data[place:]
    raise TypeError(
        "fit: validation_split cuts rnn.data.Batches, ArrayBatches and lists of batches, got "
        f"{type(data).__name__}; give the validation itself"
    )
