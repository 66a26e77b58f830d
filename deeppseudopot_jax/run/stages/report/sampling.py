"""Diagnostics of Monte Carlo chains: acceptance, swaps, and how much a chain knows."""

from collections.abc import Mapping

import numpy as np

from deeppseudopot_jax.files.results.report.finished import Finished, History
from deeppseudopot_jax.files.results.report.page import (
    Block,
    Chart,
    Charts,
    Section,
    Table,
    number,
)
from deeppseudopot_jax.montecarlo.diagnostics import autocorrelation_time
from deeppseudopot_jax.run.stages.report.subject import Subject

_WALK = (5.0, 3.1)
"""Inches; there is a name per replica above it."""


def sampling(subject: Subject) -> Section | None:
    """All chains of a run; None where there is none."""
    if not subject.finished.is_run:
        return None
    blocks = [block for chain in subject.finished.chains() for block in _of(subject, chain)]
    return Section("sampling", "Monte Carlo", blocks) if blocks else None


def _of(subject: Subject, chain: str) -> list[Block]:
    finished = subject.finished
    costs = finished.history(f"{chain}final_mc_cost")
    if costs is None or not len(costs.rows):
        return []
    steps = costs["iter"].astype(int)
    counts = finished.counts(chain)
    name = f" ({chain.removesuffix('_')})" if chain else ""
    title = f"Costs of the chain{name} against the iteration"
    drawn = [Chart("monte_carlo_figure", (steps, costs["currLoss"], costs["bestLoss"]), title)]
    walk = _walk(finished, chain, counts)
    if walk is not None:
        title = f"Walk of the replicas{name} through the temperatures"
        drawn.append(Chart("temperature_walk_figure", walk, title, _WALK))
    blocks: list[Block] = [Charts(drawn), _chain_table(costs, counts, name)]
    if counts:
        blocks.append(_rung_table(counts, name))
    return blocks


def _chain_table(costs: History, counts: Mapping[str, np.ndarray], name: str) -> Table:
    """The coldest replica: how it samples is read off its second half, when it may have settled."""
    current = costs["currLoss"]
    half = current[len(current) // 2 :]
    time = autocorrelation_time(half[:, None])
    accepted = costs["accept"][1:]
    rows = [
        ("Iterations", f"{costs['iter'][-1]:.0f}"),
        ("Lowest cost (eV²)", number(costs["bestLoss"][-1], 6)),
        ("Last cost (eV²)", number(current[-1], 6)),
        ("Accepted (%)", number(100.0 * accepted.mean(), 3) if len(accepted) else ""),
        ("Autocorrelation time of the cost, second half (iterations)", number(time, 3)),
        ("Effective sample size of the second half", number(len(half) / time, 3)),
    ]
    if counts:
        rows.append(("Round trips of every replica", " ".join(map(str, counts["round_trips"]))))
    return Table(f"The coldest replica{name}", ("Quantity", "Value"), rows)


def _rung_table(counts: Mapping[str, np.ndarray], name: str) -> Table:
    betas = counts["betas"]
    tried = [*counts["swaps_tried"], 0]
    swapped = [*counts["swaps_accepted"], 0]
    rows = [
        (
            " ".join(number(beta, 4) for beta in betas[:, rung]),
            str(int(steps)),
            _percent(counts["evaluated"][rung], steps),
            _percent(counts["accepted"][rung], steps),
            _percent(swapped[rung], tried[rung]),
        )
        for rung, steps in enumerate(counts["steps"])
    ]
    columns = ("β (1/eV)", "Steps", "Evaluated (%)", "Accepted (%)", "Swaps with the next (%)")
    return Table(f"Temperatures, coldest first{name}", columns, rows)


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.1f}" if whole else ""


def _walk(
    finished: Finished, chain: str, counts: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Iterations, rungs and betas; None for a single replica."""
    history = finished.history(f"{chain}final_mc_replicas")
    if history is None or not len(history.rows) or not counts:
        return None
    rungs = [name for name in history.columns if name.startswith("rung_")]
    walked = np.stack([history[name] for name in rungs], axis=1).astype(int)
    return history["iter"].astype(int), walked, counts["betas"][-1]
