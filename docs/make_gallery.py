"""Write docs/reference/gallery.md and its pictures, every one from a run that is made here.

Run ``python -m docs.make_gallery``; the tests compare page and pictures with what this would write.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from docs import (
    gallery_gradients,
    gallery_graphs,
    gallery_inside,
    gallery_story,
    gallery_structure,
)
from docs.gallery_networks import FARM, WORD, Networks
from docs.gallery_parts import Section

PAGE = Path(__file__).parent / "reference" / "gallery.md"
PICTURES = Path(__file__).parent / "pictures" / "gallery"
SECTIONS: list[Section] = [
    *gallery_story.SECTIONS,
    *gallery_gradients.SECTIONS,
    *gallery_inside.SECTIONS,
    *gallery_structure.SECTIONS,
    *gallery_graphs.SECTIONS,
]
HEAD = f"""# Gallery

This page has a picture of every drawing, of networks that `python -m docs.make_gallery` trains in a
few seconds, and says of each which question it answers. The code of a section drew its picture; the
numbers in the text are read from it. Pictures are at most 800 pixels wide. Widths and shades of
gradients are logarithmic: a tenth of a norm is 0.6 times as wide, in all pictures.

Each function returns a `Diagram`: `.render("x.svg")` writes it (`.html` for an interactive page,
`.pdf`, `.png`, `.dot`, `.json`, `.graphml`), in a notebook it shows itself, and `.graph` is the
picture as a networkx graph, with all numbers.

The names in the code are those of [gallery_networks.py](../gallery_networks.py):

- `untrained` is an Elman network that is to read numbers, of which one is marked, and to say at the
  end which it was; `five`, `eight`, `twelve` and `forty` are sequences of so many numbers with the
  marked one; `lstm` is an LSTM that has learned this with twelve numbers, `runs` are the trainings
  of both networks, `scaled` copies a network with its recurrent weights times a number;
- `losses` are those of the letters of {WORD!r}, by an LSTM, `speller`, that was trained on it;
- `reader` is a character model of sentences such as {FARM[1]!r}, `letters` its vocabulary;
- `reverser` reads four symbols and says them backwards, by attention;
- `Normed` is a cell that scales its state to the length 1, `squared` a small loss of a cell, and
  `penalty` the square of the length of a gradient.
"""


def made() -> Iterator[tuple[Path, str]]:
    """Yield every file with its text, the page last."""
    networks = Networks()
    parts = [HEAD, contents()]
    for section in SECTIONS:
        diagram = section.drawn(networks)
        yield PICTURES / f"{section.name}.svg", section.written(diagram)
        parts.append(written(section, section.read(diagram, networks)))
    yield PAGE, "".join(parts)


def contents() -> str:
    """Return the list of sections."""
    lines = [f"- [{one.title}](#{one.title.lower().replace(',', '').replace(' ', '-')})"
             for one in SECTIONS]  # fmt: skip
    return "\nThe drawings:\n\n" + "\n".join(lines) + "\n"


def written(section: Section, text: str) -> str:
    """Return one section of the page."""
    return (
        f"\n## {section.title}\n\n{filled(section.lesson)}\n\n"
        f"```python\n{section.code()}\n```\n\n"
        f"![{section.title}](../pictures/gallery/{section.name}.svg)\n\n{filled(text)}\n"
    )


def filled(text: str) -> str:
    """Return a paragraph in lines of at most 100 characters."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Write all files, and remove pictures without a section."""
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
