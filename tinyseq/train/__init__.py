"""Training: optimisers, clipping, the loop, sampling, checkpoints."""

from typing import TYPE_CHECKING

from tinyseq.habits import module_names
from tinyseq.train.checkpoints import Checkpoint, load, save
from tinyseq.train.clipping import clip_elements, clip_global_norm, global_norm
from tinyseq.train.information_flow import information_flow
from tinyseq.train.loop import History, bits_per_token, cosine, fit
from tinyseq.train.optimisers import OPTIMISERS, SGD, Adam, Optimiser, RMSprop
from tinyseq.train.rtrl import RTRL
from tinyseq.train.text_sampling import sample_text
from tinyseq.train.training_step import Diverged, TrainingStep

__all__ = [
    "OPTIMISERS",
    "RTRL",
    "SGD",
    "Adam",
    "Checkpoint",
    "Diverged",
    "History",
    "Optimiser",
    "RMSprop",
    "TrainingStep",
    "bits_per_token",
    "clip_elements",
    "clip_global_norm",
    "cosine",
    "fit",
    "global_norm",
    "information_flow",
    "load",
    "sample_text",
    "save",
]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
