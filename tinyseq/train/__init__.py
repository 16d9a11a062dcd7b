"""Training: optimisers, clipping, the loop, sampling, checkpoints."""

from typing import TYPE_CHECKING

from tinyseq.habits import module_names
from tinyseq.train.checkpoints import Checkpoint, load, save
from tinyseq.train.clipping import clip_elements, clip_global_norm, global_norm
from tinyseq.train.history import History
from tinyseq.train.information_flow import information_flow
from tinyseq.train.loop import bits_per_token, fit
from tinyseq.train.models import model_for
from tinyseq.train.online import UORO, SparseRTRL
from tinyseq.train.optimisers import OPTIMISERS, SGD, Adam, AdamW, Optimiser, RMSprop
from tinyseq.train.ranks import Ranks, mpi
from tinyseq.train.rtrl import RTRL
from tinyseq.train.run_folder import RunFolder
from tinyseq.train.schedules import Plateau, constant, cosine, one_cycle, stepped, warm_up
from tinyseq.train.sweeps import Sweep, sweep
from tinyseq.train.text_sampling import sample_text
from tinyseq.train.training_step import Diverged, TrainingStep

__all__ = [
    "OPTIMISERS",
    "RTRL",
    "SGD",
    "UORO",
    "Adam",
    "AdamW",
    "Checkpoint",
    "Diverged",
    "History",
    "Optimiser",
    "Plateau",
    "RMSprop",
    "Ranks",
    "RunFolder",
    "SparseRTRL",
    "Sweep",
    "TrainingStep",
    "bits_per_token",
    "clip_elements",
    "clip_global_norm",
    "constant",
    "cosine",
    "fit",
    "global_norm",
    "information_flow",
    "load",
    "model_for",
    "mpi",
    "one_cycle",
    "sample_text",
    "save",
    "stepped",
    "sweep",
    "warm_up",
]

if not TYPE_CHECKING:
    __getattr__ = module_names(__name__)
