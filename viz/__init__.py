"""Pictures of tapes, cells and tensors: ``draw``; and plots of what was measured on them."""

from tinyseq.viz.picture import Picture, draw
from tinyseq.viz.plots import gradient_norms

__all__ = ["Picture", "draw", "gradient_norms"]
