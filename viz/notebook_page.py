"""The stepper's page in a cell of a notebook: ``widget(tape)``; what is changed there can be read from Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from tinyseq.tape import Tape
from tinyseq.tensor.handles import Tensor


def widget(
    tape: Tape,
    *,
    loss: Tensor | str | None = None,
    title: str = "",
    compare: Tensor | Mapping[str, Tensor] | None = None,
    height: int = 900,
) -> Any:
    """The page that ``tape.to_html`` writes, in a cell.

    With anywidget (``pip install 'tinyseq[notebook]'``) it has

        .values   {name: array} of the parameters and named inputs whose numbers were changed in the page
        .loss     the loss as the page has it
        .put()    gives the parameters the numbers that they have in the page

    Without it the page is shown all the same; nothing of it can be read back.
    """
    from tinyseq.viz.stepper.page import find_loss, step_page

    found = find_loss(tape, loss)
    page = step_page(tape, loss=found, title=title, compare=compare, notebook=True)
    made = _widget_class()
    return Page(page, height) if made is None else made(tape=tape, start=found.item(), page=page, height=height)


class Page:
    """A page in a frame, which nothing is read back from."""

    def __init__(self, page: str, height: int) -> None:
        self.page, self.height = page, height

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.page)}" title="tinyseq: a page that computes" '
            f'style="width: 100%; height: {self.height}px; border: 1px solid #8884; border-radius: 8px"></iframe>'
        )


@cache
def _widget_class() -> Any:
    """The class of widgets, None where anywidget is not installed."""
    try:
        import anywidget
        import traitlets
    except ModuleNotFoundError:
        return None

    class Widget(anywidget.AnyWidget):
        """The page, and what it has told of the numbers that were changed in it."""

        _esm = files("tinyseq.viz.stepper").joinpath("assets", "widget.js").read_text("utf-8")
        page = traitlets.Unicode().tag(sync=True)
        height = traitlets.Int(900).tag(sync=True)
        told = traitlets.Dict().tag(sync=True)

        def __init__(self, tape: Tape, start: float, **traits: Any) -> None:
            self._tape, self._start = tape, start
            super().__init__(**traits)

        @property
        def loss(self) -> float:
            """The loss as the page has it."""
            return float(self.told.get("loss", self._start))

        @property
        def changed(self) -> dict[int, np.ndarray]:
            """{node: array} of all leaves of the first run whose numbers were changed."""
            if self.told.get("run", 0):
                return {}
            return {
                index: np.array([float(v) for v in numbers]).reshape(self._tape.shape(index)).astype(self._dtype(index))
                for index, numbers in self.told.get("changes", ())
            }

        @property
        def values(self) -> dict[str, np.ndarray]:
            """{name: array} of the named ones among them."""
            return {name: a for i, a in self.changed.items() if (name := self._tape.node(i).name)}

        def put(self) -> None:
            """Give the parameters the numbers that they have in the page."""
            changed = self.changed
            for parameter in self._tape.parameters:
                array = changed.get(self._tape.node_of(parameter))  # type: ignore[arg-type]
                if array is not None:
                    parameter.value[...] = array

        def _dtype(self, index: int) -> Any:
            return self._tape.node(index).dtype

    return Widget
