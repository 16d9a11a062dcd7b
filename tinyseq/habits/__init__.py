"""What the hands of a PyTorch, JAX, Keras or NumPy user type, and what to type here: one table, two mechanisms."""

from tinyseq.habits.calls import advised, at_the_call, retold, shown, strict, users_level, wrong_call
from tinyseq.habits.names import Habit, give_habits, module_names

__all__ = [
    "Habit",
    "advised",
    "at_the_call",
    "give_habits",
    "module_names",
    "retold",
    "shown",
    "strict",
    "users_level",
    "wrong_call",
]
