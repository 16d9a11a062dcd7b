"""What stands around every page: head, ways to the other pages, search."""

from __future__ import annotations

import html
from importlib.resources import files

MENU = (
    ("index.html", "Start"), ("chapter/index.html", "Chapter 10"), ("lessons/index.html", "Lessons"),
    ("gallery.html", "Gallery"), ("guides/index.html", "Guides"), ("api/index.html", "API"),
    ("benchmark.html", "Benchmark"), ("results.html", "Results"), ("guarantees.html", "Guarantees"),
)  # fmt: skip


def asset(name: str) -> str:
    """A file that is part of every site."""
    return files("tinyseq.viz.site").joinpath("assets", name).read_text("utf-8")


def head(path: str) -> str:
    """What stands over a page: the way home, the parts of the site, search."""
    up = above(path)
    here = path.split("/")[0]
    links = "".join(
        f'<a href="{up}{to}"{" aria-current=page" if to.split("/")[0] == here else ""}>{name}</a>' for to, name in MENU
    )
    return (
        f'<header class="site"><a class="name" href="{up}index.html">tinyseq</a><nav aria-label="Site">{links}</nav>'
        '<search class="find"><label>Search <input id="find" type="search" autocomplete="off" aria-controls="found">'
        '</label><ul id="found" hidden></ul></search></header>\n'
    )


def scripts(path: str) -> str:
    """What a page needs for the search in it."""
    up = above(path)
    return f'<script src="{up}search-index.js"></script>\n<script src="{up}search.js"></script>\n'


def above(path: str) -> str:
    """The way from a page up to where the site begins."""
    return "../" * path.count("/")


def framed(path: str, title: str, body: str, beside: str = "") -> str:
    """A page of the site; ``beside`` is a list of links that stands beside the text."""
    up = above(path)
    side = f'<nav class="beside" aria-label="Pages of this part">{beside}</nav>' if beside else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{html.escape(title)} · tinyseq</title>\n<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="{up}site.css">\n</head>\n<body data-up="{up}">\n'
        f'<a class="skip" href="#text">To the text</a>\n{head(path)}'
        f'<div class="page">{side}<main id="text">\n{body}\n</main></div>\n{scripts(path)}</body>\n</html>\n'
    )


def listed(path: str, pages: list[tuple[str, str]]) -> str:
    """Links to the pages of a part, from one of them."""
    up = above(path)
    return "".join(
        f'<a href="{up}{to}"{" aria-current=page" if to == path else ""}>{html.escape(title)}</a>'
        for to, title in pages
    )
