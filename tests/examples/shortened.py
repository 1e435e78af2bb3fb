"""Give examples fewer lines of data, where a test needs no more to see what it looks for."""

# The function of an example that gives its parts: what it learns from and is judged by.
MAKERS = {"entities": "read", "music": "generated", "sentiment": "split", "surnames": "split",
          "translation": "split"}  # fmt: skip

# The function of an example (T, B, *key) that makes a batch of fresh data.
FRESH = {"adding": "sequences", "copying": "sequences", "jordan": "turns"}


def shorten(example, monkeypatch, every):
    """Let an example have one line of `every` so many of each part, or batches of so few rows."""
    name = example.__name__.rpartition(".")[2]
    if name in FRESH:
        fresh = getattr(example, FRESH[name])

        def fewer(steps, rows, *key):
            return fresh(steps, min(rows, 200 // every), *key)

        monkeypatch.setattr(example, FRESH[name], fewer)
    elif name in MAKERS:
        make = getattr(example, MAKERS[name])

        def some(*given):
            parts = make(*given)
            return type(parts)(*(part[::every] for part in parts))

        monkeypatch.setattr(example, MAKERS[name], some)
