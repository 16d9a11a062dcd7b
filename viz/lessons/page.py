"""All answers on one page: sentences and table beside the pictures, with the code of the run."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tinyseq.viz.chapter.gallery import STYLE, inline
from tinyseq.viz.lessons.lesson import Answer, Lesson
from tinyseq.viz.lessons.live import LIVE, live_name

MORE = """
.row { grid-template-columns: minmax(0, 42rem) minmax(0, 1fr); }
@media (max-width: 76rem) { .row { grid-template-columns: minmax(0, 1fr); } }
figure { margin: 0 0 1.25rem; } figcaption { color: var(--muted); font-size: .85rem; }
pre.table { overflow-x: auto; font: 12px/1.45 ui-monospace, Menlo, Consolas, monospace; margin: 1rem 0; }
details summary { cursor: pointer; color: var(--muted); } section p { margin: 0 0 .6rem; }
"""


def page(answers: Sequence[tuple[Lesson, Answer]]) -> str:
    """The lessons and their answers as HTML."""
    links = " ".join(f'<a href="#lesson-{a.number}">{a.number}. {html.escape(a.question)}</a>' for _, a in answers)
    sections = "".join(_section(lesson, answer) for lesson, answer in answers)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Twelve questions about backpropagation through time</title>\n<style>{STYLE}{MORE}</style>\n"
        "</head>\n<body>\n<h1>Twelve questions about backpropagation through time</h1>\n"
        '<p class="lead">Each is answered by a short run on a real tape; every number below is of that run.</p>\n'
        f'<nav aria-label="Lessons">{links}</nav>\n<main>\n{sections}</main>\n</body>\n</html>\n'
    )


def _section(lesson: Lesson, answer: Answer) -> str:
    said = "".join(f"<p>{html.escape(s)}</p>\n" for s in answer.sentences)
    code = html.escape(lesson.code("print({})"))
    shown = "".join(
        f"<figure>{inline(path.read_text('utf-8'))}<figcaption>{html.escape(what)}</figcaption></figure>\n"
        for path, what in answer.pictures.items()
    )
    return (
        f'<section id="lesson-{answer.number}">\n<h2>{answer.number}. {html.escape(answer.question)}</h2>\n'
        f'<div class="row">\n<div>{said}<p><a href="{live_name(answer.number)}{LIVE[answer.number].hash}">Change its '
        f'numbers: a page that computes</a></p><pre class="table" tabindex="0">{html.escape(answer.table)}</pre>\n'
        f'<details><summary>the run</summary><pre class="code" tabindex="0"><code>{code}</code>'
        f"</pre></details></div>\n<div>{shown}</div>\n</div>\n</section>\n"
    )
