"""Who feeds whom: chains of time steps, trees, and where backpropagation is cut."""

from tinyseq.structure.chain import Chain
from tinyseq.structure.tree import Forest, Tree
from tinyseq.structure.truncation import Chunk, Truncation, Window

__all__ = ["Chain", "Chunk", "Forest", "Tree", "Truncation", "Window"]
