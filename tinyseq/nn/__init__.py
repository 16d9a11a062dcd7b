"""Cells and models, one file for each section of the chapter."""

from tinyseq.nn.module import Cell, Module
from tinyseq.nn.rnn import RNN

__all__ = ["RNN", "Cell", "Module"]
