"""Training: optimisers, clipping, the loop, sampling, checkpoints."""

from tinyseq.train.checkpoints import Checkpoint, load, save
from tinyseq.train.loop import History, bits_per_token, cosine, fit
from tinyseq.train.optimisers import OPTIMISERS, SGD, Adam, Optimiser, RMSprop, clip_global_norm, global_norm
from tinyseq.train.rtrl import RTRL
from tinyseq.train.sampling import sample_text

__all__ = [
    "OPTIMISERS",
    "RTRL",
    "SGD",
    "Adam",
    "Checkpoint",
    "History",
    "Optimiser",
    "RMSprop",
    "bits_per_token",
    "clip_global_norm",
    "cosine",
    "fit",
    "global_norm",
    "load",
    "sample_text",
    "save",
]
