"""Pictures of tapes, cells and tensors: ``draw``; and plots of what was measured on them."""

from typing import TYPE_CHECKING

from tinyseq.habits import module_names
from tinyseq.viz.notebook_page import widget
from tinyseq.viz.picture import Picture, draw
from tinyseq.viz.plots.plots import gradient_norms

__all__ = ["Picture", "draw", "gradient_norms", "widget"]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
