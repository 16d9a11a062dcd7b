"""The whole site: chapter, lessons, gallery, guides, reference, benchmark, results, guarantees; links checked."""

from __future__ import annotations

import html
import json
import re
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from tinyseq.errors import TinyseqError
from tinyseq.viz.chapter import FIGURES
from tinyseq.viz.site.api import write_api
from tinyseq.viz.site.document import Document, Results, inside, nothing_kept, results_text
from tinyseq.viz.site.extra import needed
from tinyseq.viz.site.links import broken
from tinyseq.viz.site.shell import asset, framed, listed

PARTS = {"chapter": "Chapter 10", "lessons": "Twelve lessons", "guides": "Guides"}
MOST = 30 * 1024 * 1024  # bytes of a site


def build(
    out: Path,
    *,
    benchmark: str = "",
    guarantees: str = "",
    results: Results = nothing_kept,
    told: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write the site into a folder; returns its pages.

    benchmark, guarantees   Markdown of these two pages, from whoever has measured and promised
    results                 names of published experiments, or how they begin → Markdown of what is kept of them
    told                    gets a line for each page that is done

    Raises TinyseqError where a block of code fails, a link leads nowhere, or the site is larger than 30 MB.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    site = _Site(out, results, told)
    with tempfile.TemporaryDirectory() as folder, inside(Path(folder)):
        for part, title in PARTS.items():
            site.part(part, title)
        site.page("gallery.html", gallery())
        site.page("benchmark.html", f"# Benchmark\n\n{benchmark or NOT_MEASURED}")
        site.page("results.html", f"# Results\n\n{RESULTS}\n\n{results_text(results)}")
        site.page("guarantees.html", f"# What is promised\n\n{guarantees or NOT_MEASURED}")
        site.page("index.html", _content("index.md"))
    site.reference()
    site.finish()
    return sorted(out.rglob("*.html"))


NOT_MEASURED = "Nothing was measured for this copy of the site: `tinyseq bench` and `tinyseq guarantees` print it."


RESULTS = (
    "Published experiments run again: the paper's figure, ours with its interval and seeds, and whether it was reached."
)


class _Site:
    def __init__(self, out: Path, results: Results, told: Callable[[str], None]) -> None:
        self.out, self.results, self.told = out, results, told
        self.index: list[dict[str, str]] = []

    def part(self, part: str, title: str) -> None:
        """All documents of a folder of the contents, and a page that lists them."""
        names = sorted(each.name for each in files("tinyseq.viz.site").joinpath("content", part).iterdir())
        texts = {name: _content(f"{part}/{name}") for name in names if name.endswith(".md")}
        pages = [(f"{part}/{name[:-3]}.html", _title(text)) for name, text in texts.items()]
        for (path, _), text in zip(pages, texts.values(), strict=True):
            self.page(path, text, pages)
        items = "\n".join(
            f"- [{name}]({path.split('/')[1]}): {_lead(text)}"
            for (path, name), text in zip(pages, texts.values(), strict=True)
        )
        self.page(f"{part}/index.html", f"# {title}\n\n{items}", pages)

    def page(self, path: str, text: str, pages: list[tuple[str, str]] | None = None) -> None:
        """One page from its Markdown."""
        begun = time.perf_counter()
        document = Document(self.out, path, results=self.results)
        body = document.html(text)
        title = _title(text)
        target = self.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(framed(path, title, body, listed(path, pages) if pages else ""), "utf-8")
        self.index.append({"path": path, "title": title, "text": _plain(text)})
        for level, words, anchor in document.headings:
            if level > 1:
                self.index.append({"path": f"{path}#{anchor}", "title": f"{title}: {words}", "text": ""})
        self.told(f"{path} ({time.perf_counter() - begun:.1f} s)")

    def reference(self) -> None:
        """The API, and the page that lists it."""
        written = write_api(self.out)
        items = "\n".join(
            f"- [`{name}`]({path.removeprefix('api/')}): {html.escape(what)}"
            for path, name, what in written
            if "#" not in path
        )
        self.page("api/index.html", f"# API reference\n\nThe packages that you import, and what is in them.\n\n{items}")
        self.index += [{"path": path, "title": name, "text": what} for path, name, what in written]

    def finish(self) -> None:
        """Style and search; then what must hold of the whole."""
        colours = needed("pygments.formatters").HtmlFormatter
        light, dark = (colours(style=style).get_style_defs("pre.code") for style in ("friendly", "github-dark"))
        own = asset("header.css") + asset("site.css")
        style = f"{own}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{asset('code.css')}"
        (self.out / "site.css").write_text(style, "utf-8")
        (self.out / "search.js").write_text(asset("search.js"), "utf-8")
        text = json.dumps(self.index, ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
        (self.out / "search-index.js").write_text(f"window.SEARCH = {text};\n", "utf-8")
        wrong = broken(self.out)
        if wrong:
            more = f"\n… and {len(wrong) - 10} more" if len(wrong) > 10 else ""
            raise TinyseqError("links that lead nowhere:\n" + "\n".join(wrong[:10]) + more)
        size = sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file())
        if size > MOST:
            raise TinyseqError(f"the site has {size:,} bytes; it may have {MOST:,}")
        self.told(f"{size / 1e6:.1f} MB")


def gallery() -> str:
    """Markdown of the page of all figures."""
    sections = "".join(
        f"\n## Figure {number}: {found.title}\n\n```figure {number} live\n```\n" for number, found in FIGURES.items()
    )
    lead = "Drawn by tinyseq from the nets themselves, never from a list of edges."
    return f"# The figures of chapter 10\n\n{lead}\n{sections}"


def _content(name: str) -> str:
    return files("tinyseq.viz.site").joinpath("content", *name.split("/")).read_text("utf-8")


def _title(text: str) -> str:
    return text.strip().splitlines()[0].lstrip("# ").replace("`", "")


def _lead(text: str) -> str:
    """The first sentence after the title; code in fences is none."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL).strip().split("\n\n")[1:]
    first = next((p.strip() for p in prose if p.strip() and p.strip()[0] not in "#$|-"), "")
    sentence = " ".join(first.split()).split(". ")[0].rstrip(".")
    return sentence if sentence.endswith("?") else f"{sentence}."


def _plain(text: str) -> str:
    """The words of a page, for the search."""
    words = re.sub(r"```.*?```|\$+[^$]*\$+|[#*`|<>\[\]]", " ", text, flags=re.DOTALL)
    return re.sub(r"\(\S+\)|\s+", " ", words)[:3000]
