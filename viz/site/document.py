"""A page of the site from Markdown: its code is run, what it prints is shown, and its graphs become live pages.

A fenced block's first line says what is done with it:

    python                   run; what it prints, and the pictures that it writes, stand below
    python raises            run, and it has to raise; the message stands below
    python live NAME HASH    run; its ``loss`` (``compare``, ``title``) becomes a live page, shown in a frame
    figure 10.3 live         a figure of the chapter and its equation; ``live``: and the page of its graph
    source MODULE:NAME       the source of a function or class
    lesson 4                 the answer of a lesson
    live 4                   its graph: how it is recorded, and the live page
    example NAME             what the script examples/NAME.py printed when it was last run at full length
    results NAME …           the results that are kept of experiments whose names begin so
"""

from __future__ import annotations

import contextlib
import html
import importlib
import inspect
import io
import linecache
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinyseq.errors import TinyseqError
from tinyseq.tape import Tape
from tinyseq.viz.chapter import Figure, figure
from tinyseq.viz.chapter.gallery import ending, equation_html, inline
from tinyseq.viz.lessons import lesson
from tinyseq.viz.lessons.live import LIVE, live_page
from tinyseq.viz.look import style
from tinyseq.viz.plots import plots
from tinyseq.viz.site.extra import needed
from tinyseq.viz.site.formulas import with_formulas
from tinyseq.viz.stepper import to_html

Results = Callable[
    [Sequence[str]], str
]  # names of experiments, or how they begin → a table of theirs, "" where none is


def nothing_kept(names: Sequence[str]) -> str:
    """The results of a copy that has none."""
    return ""


def results_text(results: Results, names: Sequence[str] = ()) -> str:
    """Markdown of the results of some experiments, or of all; a plain statement where there are none."""
    command = " ".join(["tinyseq results", *names])
    return results(names) or f"No results are kept in this copy of the site: `{command}` runs them."


ACRONYMS = {"rnn", "lstm", "gru"}


def titled(name: str) -> str:
    """The name of a live page as words: vanilla_rnn is Vanilla RNN."""
    words = [word.upper() if word in ACRONYMS else word for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


@dataclass
class Document:
    """A page as it is being made: ``path`` in the site ``out``; names that its code has defined, headings found."""

    out: Path
    path: str
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    blocks: int = 0
    results: Results = nothing_kept

    @property
    def up(self) -> str:
        """The way from this page to the folder of the site."""
        return "../" * self.path.count("/")

    def html(self, text: str) -> str:
        """The body of the page. Raises TinyseqError naming the block that failed."""
        markdown = needed("markdown_it").MarkdownIt("commonmark", {"html": True}).enable("table")
        tokens = markdown.parse(with_formulas(text))
        for i, token in enumerate(tokens):
            if token.type == "heading_open":
                words = re.sub(r"[`*]|<[^>]*>", "", tokens[i + 1].content)
                anchor = re.sub(r"\W+", "-", words.lower()).strip("-")
                token.attrSet("id", anchor)
                self.headings.append((int(token.tag[1]), words, anchor))
            elif token.type == "fence":
                self.blocks += 1
                token.type, token.content = "html_block", self._block(token.info.split(), token.content)
        return with_wide_cells(markdown.renderer.render(tokens, markdown.options, {}))

    def _block(self, info: list[str], code: str) -> str:
        kind, rest = (info[0], info[1:]) if info else ("", [])
        known = {
            "python": self._python,
            "figure": self._figure,
            "source": self._source,
            "lesson": self._lesson,
            "live": self._lesson_live,
            "example": self._example,
            "results": self._results,
        }
        if kind not in known:
            raise TinyseqError(f"{self.path}: a block of {kind or 'nothing'!r}; blocks are {', '.join(known)}")
        return known[kind](rest, code)

    # -- code ---------------------------------------------------------------------------------------------------
    def _python(self, rest: list[str], code: str) -> str:
        before = set(Path.cwd().glob("*.svg"))
        printed, error = self._run(code)
        if (error is not None) != (rest[:1] == ["raises"]):
            raise TinyseqError(
                f"{self.path}: block {self.blocks} {'raised ' + repr(error) if error else 'raised nothing'}"
            )
        if error is not None:
            printed += f"{type(error).__name__}: {error}"
        parts = [highlighted(code)]
        if printed.strip():
            parts.append(f'<pre class="printed" tabindex="0"><samp>{html.escape(printed.rstrip())}</samp></pre>')
        for path in sorted(set(Path.cwd().glob("*.svg")) - before):
            parts.append(pictured(path.read_text("utf-8")))
        if rest[:1] == ["live"]:
            parts.append(self._live(rest[1], rest[2] if len(rest) > 2 else ""))
        return "\n".join(parts)

    def _run(self, code: str) -> tuple[str, Exception | None]:
        printed = io.StringIO()
        name = f"{Path(self.path).stem}, block {self.blocks}"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)  # live pages quote the lines
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(code, name, "exec"), self.names)
            except Exception as error:
                return printed.getvalue(), error
        return printed.getvalue(), None

    def _live(self, name: str, hash: str) -> str:
        loss, words = self.names["loss"], titled(name)
        path = self._live_path(name)
        to_html(
            loss.tape, path, loss=loss, title=self.names.pop("title", words), compare=self.names.pop("compare", None)
        )
        return self._framed(name, words, hash)

    def _live_path(self, name: str) -> Path:
        path = self.out / "live" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _framed(self, name: str, words: str, hash: str) -> str:
        address = f"{self.up}live/{name}.html"
        embedded = "&".join(part for part in ("embed=true", hash.lstrip("#")) if part)
        return (
            f'<figure class="live"><iframe src="{address}#{embedded}" title="Live page: {html.escape(words)}" '
            f'loading="lazy"></iframe><figcaption>A live page: change a number and all follows. '
            f'<a href="{address}{hash}">Open it by itself</a></figcaption></figure>'
        )

    # -- what the library knows ---------------------------------------------------------------------------------
    def _figure(self, rest: list[str], _: str) -> str:
        found = figure(rest[0])
        picture = found.picture()
        words = f"Figure {found.number}: {html.escape(found.title)}"
        if ending(picture) == "svg":
            shown = pictured(picture.svg, words)
        else:
            path = self.out / "pictures" / f"figure_{rest[0].replace('.', '_')}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture.png)
            image = f'<img src="{self.up}pictures/{path.name}" alt="{html.escape(found.title)}">'
            shown = f'<figure class="picture raster">{image}<figcaption>{words}</figcaption></figure>'
        live = self._figure_live(found) if rest[1:] == ["live"] else ""
        return f'{shown}\n<p class="equation">{equation_html(found.equation)}</p>{live}'

    def _figure_live(self, found: Any) -> str:
        """A link to the page of a figure's graph, where that has one loss to walk back from."""
        name = f"figure_{found.number.replace('.', '_')}"
        recorded = found.record() if isinstance(found, Figure) else None
        tape = recorded[0] if isinstance(recorded, tuple) else recorded
        if not isinstance(tape, Tape):
            return ""
        try:
            to_html(tape, self._live_path(name), title=f"Figure {found.number}")
        except TinyseqError:  # it has no loss, or none alone
            return ""
        return f'<p><a href="{self.up}live/{name}.html">Walk through its graph</a></p>'

    def _source(self, rest: list[str], _: str) -> str:
        module, _, name = rest[0].partition(":")
        thing: Any = importlib.import_module(module)
        for part in name.split("."):
            thing = getattr(thing, part)
        return highlighted(textwrap.dedent(inspect.getsource(thing)))

    def _lesson(self, rest: list[str], _: str) -> str:
        answer = lesson(rest[0])(Path.cwd(), theme="auto")
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in answer.sentences)
        shown = "".join(pictured(path.read_text("utf-8"), what) for path, what in answer.pictures.items())
        return f'{said}<pre class="printed" tabindex="0">{html.escape(answer.table)}</pre>{shown}'

    def _lesson_live(self, rest: list[str], _: str) -> str:
        number = int(rest[0])
        made, name = LIVE[number], f"lesson_{number:02d}"
        live_page(number, self._live_path(name))
        return f"{highlighted(inspect.getsource(made.record))}\n{self._framed(name, f'lesson {number}', made.hash)}"

    def _example(self, rest: list[str], _: str) -> str:
        path = files("tinyseq.viz.site").joinpath("content", "printed", f"{rest[0]}.txt")
        if not path.is_file():
            raise TinyseqError(
                f"{self.path}: nothing is kept of what examples/{rest[0]}.py prints; run it and put its output into "
                f"viz/site/content/printed/{rest[0]}.txt"
            )
        printed = html.escape(path.read_text("utf-8").rstrip())
        command = f"<p><code>python examples/{rest[0]}.py</code> printed, at full length:</p>"
        return f'{command}\n<pre class="printed" tabindex="0"><samp>{printed}</samp></pre>'

    def _results(self, rest: list[str], _: str) -> str:
        said = results_text(self.results, rest) + f"\n\nAll of them: [results]({self.up}results.html)."
        return needed("markdown_it").MarkdownIt("commonmark").enable("table").render(said)


INKS = {"#000000": "ink", style.INK: "ink", style.PAPER: "paper", style.MUTED: "muted", plots.GRID: "grid"}
INKS |= {colour: f"curve-{place}" for place, colour in enumerate(plots.COLOURS)}


def themed(plot: str) -> str:
    """A plot's SVG whose colours are those that the site's style gives them, light or dark."""
    return re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var(--{INKS[m[0]]})" if m[0] in INKS else m[0], plot)


def pictured(svg: str, words: str = "") -> str:
    """A picture in its frame; what is of one theme alone stands on white."""
    if "matplotlib" in svg:
        kind, svg = "picture plot", themed(svg)
    else:
        kind = "picture" if "prefers-color-scheme" in svg else "picture light"
    said = f"<figcaption>{html.escape(words)}</figcaption>" if words else ""
    return f'<figure class="{kind}" tabindex="0">{inline(svg)}{said}</figure>'


def with_wide_cells(page: str) -> str:
    """Cells of tables that hold a sentence are wide enough for it to be read on a phone."""

    def marked(found: re.Match[str]) -> str:
        words = re.sub(r"<[^>]*>", "", found[2])
        return f'<td{found[1]} class="told">{found[2]}</td>' if len(words) > 60 else found[0]

    return re.sub(r"<td([^>]*)>(.*?)</td>", marked, page, flags=re.DOTALL)


def highlighted(code: str) -> str:
    """Python with its words in colours."""
    pygments = needed("pygments")
    formatter = needed("pygments.formatters").HtmlFormatter(nowrap=True)
    made = pygments.highlight(code.rstrip() + "\n", needed("pygments.lexers").PythonLexer(), formatter)
    return f'<pre class="code" tabindex="0"><code>{made}</code></pre>'


@contextlib.contextmanager
def inside(folder: Path) -> Any:
    """The working folder for a while: code of pages writes its files there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
