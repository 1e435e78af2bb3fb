"""Check the built site: links, pictures with words, nothing fetched, every public name there.

`make docs` runs `python -m docs.check_site` on docs/_build/html after Sphinx.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docs.make_reference import NAMES

SITE = Path(__file__).parent / "_build" / "html"
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """Collect the anchors, links, fetched files and pictures without words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.wordless: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element says of itself."""
        given = {name: value for name, value in attrs if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and FETCHED[tag] in given:
            self.fetched.append(given[FETCHED[tag]])
        if tag == "img" and given.get("alt", "").strip() in ("", given.get("src")):
            self.wordless.append(given.get("src", ""))


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong with the site in a folder, a line each."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8"))
             for path in sorted(site.rglob("*.html"))}  # fmt: skip
    if not pages:
        yield f"there is no page in {site}; run: make docs"
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for address in page.fetched:
            if urlsplit(address).scheme not in ("", "data") or urlsplit(address).netloc:
                yield f"{name} fetches {address}"
        yield from (f"{name}: {one}: a picture without words (alt)" for one in page.wordless)
        for address in page.links + page.fetched:
            if (told := broken(path, address, pages)) is not None:
                yield f"{name}: {told}"
    anchors = set().union(*(page.anchors for page in pages.values()))
    for name in NAMES:
        if name not in anchors and f"module-{name}" not in anchors:
            yield f"{name} is public, and on no page"


def broken(path: Path, address: str, pages: dict[Path, Page]) -> str | None:
    """Return what is wrong with an address on a page, None for one that leads somewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return f"{address}: there is no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"{address}: there is no such anchor"
    return None


def main() -> None:
    """Print the faults, and exit with 1 where there is one."""
    found = list(faults(SITE))
    print(
        "\n".join(found)
        or f"{SITE}: links lead somewhere, pictures have words, every public name is there"
    )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
