"""Cells and models, one file for each section of the chapter."""

from typing import TYPE_CHECKING

from tinyseq.habits import module_names
from tinyseq.nn import initialisation
from tinyseq.nn.attention import Attention
from tinyseq.nn.bidirectional import Bidirectional
from tinyseq.nn.building import recurrent
from tinyseq.nn.cells import InContext, RNNCell
from tinyseq.nn.context import FeedbackRNN
from tinyseq.nn.decoding import Decoded, beam_search, gumbel
from tinyseq.nn.deep import DeepTransition, Stack, StackedCells
from tinyseq.nn.dropout import dropout, dropout_mask
from tinyseq.nn.echo_state import EchoState, EchoStateNetwork
from tinyseq.nn.encoder_decoder import EncoderDecoder
from tinyseq.nn.explicit_memory import MemoryCell
from tinyseq.nn.exponential_gates import SLSTMCell
from tinyseq.nn.fast_weights import FastWeightsCell
from tinyseq.nn.gates import GRUCell, LSTMCell
from tinyseq.nn.heads import ManyToMany, ManyToOne
from tinyseq.nn.layers import Dropout, Embedding, LayerNorm, Linear, Sequential, Standardise
from tinyseq.nn.linear_recurrences import DiagonalCell, LegSCell, LRUCell, MinGRUCell, MinLSTMCell
from tinyseq.nn.lstm_1997 import LSTM1997Cell
from tinyseq.nn.module import Cell, Module
from tinyseq.nn.output_recurrence import OutputRecurrence
from tinyseq.nn.recursive import RNTN, RecursiveNet, TreeCell, TreeNet
from tinyseq.nn.reservoir import Reservoir, spectral_radius
from tinyseq.nn.ridge import RecursiveLeastSquares, Ridge
from tinyseq.nn.rnn import GRU, LSTM, RNN, CellNet
from tinyseq.nn.sequence_model import SequenceModel
from tinyseq.nn.sequences import Encoded, Packed, pack, unpack
from tinyseq.nn.time_scales import ClockworkCell, LeakyCell, SkipCell, decays, time_constants
from tinyseq.nn.tree_lstm import ChildSumTreeLSTM, TreeLSTM

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "RNTN",
    "Attention",
    "Bidirectional",
    "Cell",
    "CellNet",
    "ChildSumTreeLSTM",
    "ClockworkCell",
    "Decoded",
    "DeepTransition",
    "DiagonalCell",
    "Dropout",
    "EchoState",
    "EchoStateNetwork",
    "Embedding",
    "Encoded",
    "EncoderDecoder",
    "FastWeightsCell",
    "FeedbackRNN",
    "GRUCell",
    "InContext",
    "LRUCell",
    "LSTM1997Cell",
    "LSTMCell",
    "LayerNorm",
    "LeakyCell",
    "LegSCell",
    "Linear",
    "ManyToMany",
    "ManyToOne",
    "MemoryCell",
    "MinGRUCell",
    "MinLSTMCell",
    "Module",
    "OutputRecurrence",
    "Packed",
    "RNNCell",
    "RecursiveLeastSquares",
    "RecursiveNet",
    "Reservoir",
    "Ridge",
    "SLSTMCell",
    "SequenceModel",
    "Sequential",
    "SkipCell",
    "Stack",
    "StackedCells",
    "Standardise",
    "TreeCell",
    "TreeLSTM",
    "TreeNet",
    "beam_search",
    "decays",
    "dropout",
    "dropout_mask",
    "gumbel",
    "initialisation",
    "pack",
    "recurrent",
    "spectral_radius",
    "time_constants",
    "unpack",
]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
