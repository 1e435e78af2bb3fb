"""Writes docs/gallery.md and its pictures, every one from a run that is made here.

Run ``python -m docs.make_gallery``; the tests compare page and pictures with what this would write.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from docs import gallery_gradients, gallery_graphs, gallery_structure
from docs.gallery_networks import WORD, Networks
from docs.gallery_parts import Section

PAGE = Path(__file__).parent / "gallery.md"
PICTURES = Path(__file__).parent / "pictures" / "gallery"
SECTIONS: list[Section] = [
    *gallery_structure.SECTIONS,
    *gallery_gradients.SECTIONS,
    *gallery_graphs.SECTIONS,
]
HEAD = f"""# Gallery

Every drawing that there is, of networks that `python -m docs.make_gallery` trains in a few seconds.
The code of a section is what drew its picture, and the numbers in the text are taken from the run.
Each function returns a `Diagram`: `.render("x.svg")` writes it (`.html` for a page to walk about
in, `.pdf`, `.png`, `.dot`, `.json`, `.graphml`), in a notebook it shows itself, and `.graph` is
what it shows as a networkx graph, with all numbers.

The names in the code are those of [gallery_networks.py](gallery_networks.py):

- `losses` are those of the letters of {WORD!r}, by an LSTM, `speller`, that was trained on it;
- `eight`, `twelve` and `forty` are sequences of so many numbers, of which one is marked, and the
  marked number: a network reads them and has to say at the end which it was;
- `untrained` is an Elman network for this task, `lstm` an LSTM that has learned it, `runs` are the
  trainings of both;
- `reverser` reads four symbols and says them backwards, by attention;
- `Normed` is a cell whose state is made to have the length 1, `squared` a small loss of a cell, and
  `penalty` the square of the length of a gradient.
"""


def made() -> Iterator[tuple[Path, str]]:
    """Every file with what is to stand in it, the page last."""
    networks = Networks()
    parts = [HEAD, contents()]
    for section in SECTIONS:
        diagram = section.drawn(networks)
        yield PICTURES / f"{section.name}.svg", diagram.svg()
        parts.append(written(section, section.read(diagram, networks)))
    yield PAGE, "".join(parts)


def contents() -> str:
    """The list of sections."""
    lines = [f"- [{one.title}](#{one.title.lower().replace(',', '').replace(' ', '-')})"
             for one in SECTIONS]  # fmt: skip
    return "\n" + "\n".join(lines) + "\n"


def written(section: Section, text: str) -> str:
    """One section of the page."""
    return (
        f"\n## {section.title}\n\n```python\n{section.code()}\n```\n\n"
        f"![{section.title}](pictures/gallery/{section.name}.svg)\n\n"
        f"{textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)}\n"
    )


def main() -> None:
    """Write what differs, and remove pictures of which there is no section any more."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    files = dict(made())
    for path in sorted(PICTURES.glob("*.svg")):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    print(f"written to {PAGE}: {len(SECTIONS)} pictures")


if __name__ == "__main__":
    main()
