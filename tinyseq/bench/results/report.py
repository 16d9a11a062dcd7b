"""The report as text for a terminal: one table line a row, then what belongs to it and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log10
from statistics import median
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tinyseq.bench.results.results import OURS, TIMES, Report, Row, of

INSTALL = "pip install -e '.[bench]'"
WANTED = 1.3
"""A ratio below this is not the lead that the project claims."""

ALL = "all"
"""The plan with all of the planner's decisions, among those without one of them."""

# The library's row with the same sizes whose arithmetic comes nearest to a user's cell.
NEAREST = {
    "user: peephole lstm": "lstm",
    "user: minimal gated unit": "gru",
    "user: independent rnn": "rnn",
    "user: multiplicative rnn": "rnn",
    "user: layer-normalised rnn": "rnn",
    "user: antisymmetric rnn": "rnn",
}


def figure(value: float | None) -> str:
    """Three significant digits, without an exponent; a dash for nothing."""
    if value is None:
        return "–"
    digits = 2 - floor(log10(abs(value))) if value else 2
    return f"{value:,.{max(0, digits)}f}"


def render(report: Report) -> Iterator[RenderableType]:
    """All parts that have something to show."""
    yield from heading(report)
    times = report.of_kind(*TIMES)
    if times:
        yield Text("\nForward and backward of all parameters, ms", style="bold")
        yield times_table(report, times)
        yield Text(
            f"Median of {report.settings.rounds} alternating samples. Ratio: best peer / {OURS}. Floor: products at "
            "the FMA peak above, or least traffic at the bandwidth above, whichever takes longer.",
            style="dim",
        )
        yield from means(report)
        yield from per_flop(times)
        yield Text("\nOnce for each row, not in the times above", style="bold")
        yield once_table(report, times)
    if report.of_kind("reservoir"):
        yield Text("\nEcho state networks: all states, and these with the readout fitted (fit + run), ms", style="bold")
        yield ratio_table(report, report.of_kind("reservoir"), 1e3)
    if report.of_kind("memory"):
        yield Text("\nPeak memory of one pass in a new process, MB", style="bold")
        yield ratio_table(report, report.of_kind("memory"), 1 / 2**20)
    yield from planning(report)
    yield from notes(report)


def heading(report: Report) -> Iterator[RenderableType]:
    """Machine, versions, threads, load."""
    m = report.machine
    if not m:
        return
    yield Text(f"{m['processor']}, {m['cores']} cores, {m['system']}, Python {m['python']}")
    yield Text(
        f"Measured here: {m['flops_per_second'] / 1e9:.0f} GFLOP/s of float32 FMA on {m['threads']} cores "
        f"({m['flops_per_second_1'] / 1e9:.0f} on one, vectors of {m['vector_floats']}), "
        f"{m['bytes_per_second'] / 1e9:.1f} GB/s copying"
    )
    yield Text(", ".join(f"{name} {number}" for name, number in report.versions.items()))
    yield Text(
        f"Threads: torch and numpy on 1 and on 2, the faster is shown; {OURS} and jax choose their own; "
        "autograd and mygrad on 1"
    )
    if m["load"] is not None:
        yield Text(f"Load average at the start: {m['load']:.2f}")
    if m["busy"]:
        yield Text(
            "WARNING: this machine is busy with other work. Times are too long and ratios uncertain; "
            "measure again when it is idle.",
            style="bold yellow",
        )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def times_table(report: Report, rows: list[Row]) -> Table:
    """One line a row: ours, each peer's best, ratio, FLOPs, floor."""
    peers = [peer for peer in report.settings.peers if any(peer in row.libraries for row in rows)]
    table = _table("row", OURS, *peers, "ratio", "MFLOP", "floor", "×floor")
    table.add_column("best peer", no_wrap=True)
    for row in rows:
        best, least = row.best_peer, row.floor(report.machine)
        cells: list[Any] = [_ms(row.ours)]
        for peer in peers:
            found = row.best(peer)
            is_best = best is not None and found == best
            cells.append(Text(_ms(found[1] if found else None), style="bold" if is_best else ""))
        over = row.ours / least if row.ours and least else None
        cells += [_ratio(row.ratio), _flops(row), _ms(least), figure(over)]
        mark = " *" if row.error or row.fallback or row.refused or row.failed else ""
        table.add_row(row.row + mark, *cells, best[0] if best else "")
    return table


def _flops(row: Row) -> str:
    return figure((row.counts["matmul"] + row.counts["elementwise"]) / 1e6) if row.counts else "–"


def _ms(seconds: float | None) -> str:
    return figure(seconds * 1e3 if seconds is not None else None)


def _ratio(ratio: float | None) -> Text:
    if ratio is None:
        return Text("–")
    style = "bold green" if ratio >= WANTED else ("bold yellow" if ratio >= 1 else "bold red")
    return Text(f"{figure(ratio)}×", style=style)


def means(report: Report) -> Iterator[RenderableType]:
    """Geometric means, tokens per second."""
    groups = ((TIMES, "all"), (("library",), "known nets'"), (("user",), "users' cells'"))
    found = [(mean[1], what, _ratio(mean[0])) for kinds, what in groups if (mean := report.geometric_mean(*kinds))]
    for count, what, ratio in found if len(found) > 2 else found[:1]:
        yield Text.assemble("Geometric mean of the ratios: ", ratio, f" ({what} rows, {count})")
    for row in report.of_kind("library"):
        if row.tokens and row.ours:
            speeds = [(library, best[1]) for library in (OURS, *row.libraries) if (best := row.best(library))]
            each = ", ".join(f"{library} {row.tokens / seconds:,.0f}" for library, seconds in speeds)
            yield Text(f"{row.row}, tokens per second: {each}")


def per_flop(rows: list[Row]) -> Iterator[RenderableType]:
    """Users' cells beside the nearest of the library, in time for each operation."""
    by_name = {row.row: row for row in rows}
    for row in rows:
        start, _, sizes = row.row.rpartition(" ")
        other = by_name.get(f"{NEAREST.get(start, '')} {sizes}")
        if other and row.ours and other.ours:
            found = (row.ours / _operations(row)) / (other.ours / _operations(other))
            yield Text(f"{start}: {figure(found)}× the time of {other.row} for each FLOP")


def _operations(row: Row) -> int:
    return row.counts["matmul"] + row.counts["elementwise"]


def once_table(report: Report, rows: list[Row]) -> Table:
    """Recording and planning, and what the first call of each library's best variant took, compiling included."""
    peers = [peer for peer in report.settings.peers if any(peer in row.libraries for row in rows)]
    table = _table("row", "nodes", "record ms", "plan ms", "first call s", *peers)
    totals = dict.fromkeys((OURS, *peers), 0.0)
    for row in rows:
        if not row.nodes:
            continue
        firsts = []
        for library in (OURS, *peers):
            best = row.best(library)
            firsts.append(row.first.get(best[0]) if best else None)
            totals[library] += firsts[-1] or 0.0
        table.add_row(
            row.row, f"{row.nodes:,}", _ms(row.record_seconds), _ms(row.plan_seconds), *[figure(f) for f in firsts]
        )
    table.add_row("together", "", "", "", *[figure(total) for total in totals.values()], style="bold")
    return table


def ratio_table(report: Report, rows: list[Row], scale: float) -> Table:
    """One line a row: the figure of each library's best variant times ``scale``, and the ratio."""
    peers = [peer for peer in report.settings.peers if any(peer in row.libraries for row in rows)]
    table = _table("row", OURS, *peers, "ratio")
    for row in rows:
        bests = [row.best(library) for library in (OURS, *peers)]
        mark = " *" if row.error or row.refused or row.failed else ""
        table.add_row(row.row + mark, *[figure(b[1] * scale if b else None) for b in bests], _ratio(row.ratio))
    return table


def planning(report: Report) -> Iterator[RenderableType]:
    """What recording and planning cost for each node, and compiling."""
    rows = report.of_kind("plan")
    if rows:
        yield Text("\nRecording and planning, µs for each node", style="bold")
        table = _table("row", "nodes", "record", "plan")
        for row in rows:
            found = {name.split()[1]: median(taken) / row.nodes * 1e6 for name, taken in row.samples.items()}
            table.add_row(row.row, f"{row.nodes:,}", figure(found.get("record")), figure(found.get("plan")))
        yield table
    yield from checking(report.of_kind("checking"))
    yield from choices(report.of_kind("choices"))
    yield from continued(report.of_kind("continued"))
    for row in report.of_kind("compile"):
        taken = {name.split()[1]: median(seconds) for name, seconds in row.samples.items()}
        if len(taken) == 2:
            yield Text(
                f"\nFirst compile: the first gradients of all rows, in a new process without any compiled kernel, take "
                f"{figure(taken['cold'])} s; in the next process {figure(taken['warm'])} s."
            )


def checking(rows: list[Row]) -> Iterator[RenderableType]:
    """What checking a plan costs, in times of planning it."""
    if not rows:
        return
    steps = ("passes", "elements", "meaning")
    yield Text("\nPlanning, ms, and checking a plan as TINYSEQ_CHECK=1 does, in times of planning", style="bold")
    table = _table("row", "nodes", "plan", *steps, "together")
    for row in rows:
        taken = {name.split()[1]: median(seconds) for name, seconds in row.samples.items()}
        shares = [taken[step] / taken["plan"] if step in taken else None for step in steps]
        table.add_row(
            row.row.partition(" ")[2],
            f"{row.nodes:,}",
            _ms(taken["plan"]),
            *[f"{figure(share)}×" if share is not None else "–" for share in (*shares, sum(filter(None, shares)))],
        )
    yield table
    yield Text(
        "passes: each one's verifier; elements: what every instruction reads and writes; meaning: every value over a "
        "finite field, left out (–) where it takes more than a second or so.",
        style="dim",
    )


def choices(rows: list[Row]) -> Iterator[RenderableType]:
    """What each decision of the planner brings: time and memory without it, with it 1."""
    if not rows:
        return
    yield Text("\nA replay without one of the planner's decisions: time, memory; with all of them 1", style="bold")
    names = [row.row.partition(" ")[2] for row in rows]
    table = _table("without", *names)
    for choice in dict.fromkeys(choice for row in rows for choice in row.bytes):
        cells = []
        for row in rows:
            taken = row.samples.get(f"{OURS} {choice}")
            if taken is None:
                cells.append("–")
            elif choice == ALL:
                cells.append(f"{_ms(median(taken))} ms, {figure(row.bytes[choice] / 2**20)} MB")
            else:
                time = median(taken) / median(row.samples[f"{OURS} {ALL}"])
                cells.append(f"{time:.2f}, {row.bytes[choice] / row.bytes[ALL]:.2f}")
        table.add_row("– (all on)" if choice == ALL else choice, *cells)
    yield table


def continued(rows: list[Row]) -> Iterator[RenderableType]:
    """The cells that came after the chapter beside the nearest of the library, in time for each operation."""
    if not rows:
        return
    yield Text("\nCells that came after the chapter, beside the library's nearest", style="bold")
    table = _table("row", "ms", "MFLOP", "nearest", "ms", "MFLOP", "time for each FLOP")
    for row in rows:
        cells: list[str] = []
        each = []
        for which, operations in row.operations.items():
            taken = median(row.samples[f"{OURS} {which}"])
            each.append(taken / operations)
            cells += [which, _ms(taken), figure(operations / 1e6)]
        ratio = f"{figure(each[0] / each[1])}×" if len(each) == 2 else "–"
        table.add_row(row.row.partition(": ")[2], *cells[1:], ratio)
    yield table


def notes(report: Report) -> Iterator[RenderableType]:
    """Everything that was not as it should be, and what is missing."""
    lines = []
    for row in report.rows:
        if row.error:
            lines.append(f"{row.row}: {row.error}")
        if row.fallback:
            lines.append(f"{row.row}: run by the reference executor, no plan: {row.fallback}")
        for name, distance in row.refused.items():
            if not (row.error and of(name) == OURS):
                lines.append(f"{row.row}: {name} differs from {row.standard} by {distance:.1e}, not timed")
        lines += [f"{row.row}: {name} failed: {what}" for name, what in row.failed.items() if what != row.error]
    if lines:
        yield Text("\nNotes", style="bold")
        yield from (Text(f"* {line}", style="yellow") for line in lines)
    if report.missing:
        yield Text(f"\nNot installed, so left out: {', '.join(report.missing)}. To compare with them: {INSTALL}")
    if report.interrupted:
        left = len(report.settings.rows) - len(report.rows)
        yield Text(
            f"\nStopped early: {left} of {len(report.settings.rows)} rows were not measured.", style="bold yellow"
        )
