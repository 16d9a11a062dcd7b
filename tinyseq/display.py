"""The one door to what stands above, when somebody asks: pictures, pages and plots of ``tinyseq.viz``, files for other
programs of ``tinyseq.exchange``."""

from __future__ import annotations

from typing import Any


def bundle(what: str, thing: Any) -> dict[str, str]:
    """What a notebook shows of a ``what``: a tape, cell, tensor or plan."""
    from tinyseq.viz import notebook

    return getattr(notebook, f"{what}_bundle")(thing)


def page(tape: Any, path: Any, **options: Any) -> Any:
    """``tinyseq.viz.stepper.to_html``."""
    from tinyseq.viz.stepper import to_html

    return to_html(tape, path, **options)


def plot(name: str, *given: Any, **options: Any) -> Any:
    """A plot of ``tinyseq.viz.plots``, by the module and the function's name: "flow_plots.gradient_flow_plot"."""
    from importlib import import_module

    module, _, function = name.partition(".")
    return getattr(import_module(f"tinyseq.viz.plots.{module}"), function)(*given, **options)


def exchanged(name: str, *given: Any, **options: Any) -> Any:
    """A function of ``tinyseq.exchange`` by its name: "to_onnx"."""
    from tinyseq import exchange

    return getattr(exchange, name)(*given, **options)
