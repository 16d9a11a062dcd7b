"""What a parameter is called in tables: by its own name, or by its place on the tape."""

from __future__ import annotations

from typing import Any

from tinyseq.tape.kinds import Parameter


def name_of(tape: Any, parameter: Parameter) -> str:
    """W; "W (2 of 3)" where several parameters of the tape have that name; θ_3, the third one, where it has none."""
    number = next(k for k, p in enumerate(tape.parameters) if p is parameter)
    if not parameter.name:
        return f"θ_{number + 1}"
    alike = [p for p in tape.parameters if p.name == parameter.name]
    place = next(k for k, p in enumerate(alike, 1) if p is parameter)
    return parameter.name if len(alike) == 1 else f"{parameter.name} ({place} of {len(alike)})"
