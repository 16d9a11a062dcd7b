"""Links of a folder of pages: each goes to a file that is there and, with #, to a place in it; none asks a network."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "use": "href",
    "image": "href",
}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places.update(value for key in ("id", "name") if (value := given.get(key)))
        address = given.get(LOADED.get(tag, "")) or (given.get("xlink:href") if tag in ("use", "image") else None)
        if address:
            self.loaded.append(address)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


def broken(folder: Path) -> list[str]:
    """What is wrong with the links of all pages below a folder, as sentences: "page: link: what"."""
    pages = {path: _read(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        for address in page.loaded:
            if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
                found.append(f"{name}: {address}: a page asks no network for anything")
        for address in [*page.links, *page.loaded]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: {address}: no such file")
                continue
            live = target.parent.name == "live"  # what stands behind their # is a state of the page
            if parts.fragment and not live and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{name}: {address}: no such place in that page")
    return found


def _read(path: Path) -> _Links:
    found = _Links()
    found.feed(path.read_text("utf-8"))
    return found
