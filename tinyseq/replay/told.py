"""What a compiled function tells its user, each thing once."""

from __future__ import annotations

from tinyseq.engine.limits import LIMITS
from tinyseq.errors import RecordingWarning, warn
from tinyseq.replay.recordings import NOT_INSTALLED
from tinyseq.replay.watch import MOST_SEEN, MOST_WATCHED

OFTEN = 8  # recordings of one signature, after which somebody is told


class Told:
    """What has been told of the function of a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._told: set[str] = set()
        self._again = 0  # times that something had changed

    def _first(self, what: str) -> bool:
        first = what not in self._told
        self._told.add(what)
        return first

    def fallback(self, reason: str) -> None:
        """There is no plan, for this reason."""
        if reason != NOT_INSTALLED and self._first("fallback"):
            from tinyseq.engine.planned import tell_fallback

            tell_fallback(f"compiled function {self.name!r}", reason)

    def fresh(self, why: str) -> None:
        """Each call records anew, and why."""
        if self._first("fresh"):
            warn(
                f"compiled function {self.name!r} is recorded anew at each call, which is slow, as {why}. Give "
                "what changes as an argument: random numbers drawn outside, as in\n"
                "    mask = ts.nn.dropout_mask(rng, (B, H), 0.5)\n    loss = f.backward(x, mask)",
                RecordingWarning,
            )

    def changes(self, changed: str) -> None:
        """What it reads has changed again; ``changed`` says what."""
        self._again += 1
        if self._again >= OFTEN and self._first("changes"):
            warn(
                f"compiled function {self.name!r} is recorded again and again, as what it reads changes from call "
                f"to call: {changed or 'which parameters are trainable'}. Give it as an argument, a number as "
                "np.asarray(number)",
                RecordingWarning,
            )

    def number(self) -> None:
        """There are more recordings than are kept."""
        if self._first("number"):
            warn(
                f"compiled function {self.name!r} has been recorded for more than {LIMITS.number} kinds of "
                "arguments (other shapes, lengths, structures, numbers), and those unused for longest are dropped now. "
                "Pad to a few lengths, give numbers that change as np.asarray(number), or keep more: "
                f"ts.keep_recordings(number={4 * LIMITS.number})",
                RecordingWarning,
            )

    def bytes(self) -> None:
        """What was dropped for want of room is recorded again."""
        if self._first("bytes"):
            megabytes = LIMITS.bytes >> 20
            warn(
                f"compiled function {self.name!r} records again what was dropped, as the recordings of all "
                f"functions take more than {megabytes} megabytes. Pad to a few lengths, or keep more: "
                f"ts.keep_recordings(megabytes={4 * megabytes})",
                RecordingWarning,
            )

    def cut(self) -> None:
        """What it reads leads to more things than are watched."""
        if self._first("cut"):
            warn(
                f"what the compiled function {self.name!r} reads leads to more than {MOST_SEEN:,} things, or to arrays "
                f"of more than {MOST_WATCHED >> 20} megabytes, and changes of those beyond will not be noticed. Give "
                "it what it computes with as arguments, and keep large structures out of the objects that it reads",
                RecordingWarning,
            )
