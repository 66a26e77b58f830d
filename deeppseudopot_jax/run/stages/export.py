"""The outcome of a run or of an evaluation."""

from deeppseudopot_jax.run.outputs import PDF_AND_PNG, Spread
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.run.stages.observables import observables


def export(
    session: Session,
    prefix: str,
    solved: Solved,
    initial: Solved | None = None,
    spread: Spread | None = None,
) -> None:
    """Bands, potentials and observables of the outcome, as tables and figures.

    Args:
        session: of the run.
        prefix: of the files.
        solved: the outcome.
        initial: what to compare it with.
        spread: its error bars.
    """
    outputs = session.outputs
    name = "fit" if initial is not None else "potential"
    session.report_errors(f"{prefix.capitalize()} potential", solved)
    curves, potentials = {name: solved.bands}, {name: outputs.v_q(solved.params)}
    if initial is not None:
        curves["initial"] = initial.bands
        potentials["initial"] = outputs.v_q(initial.params)
    outputs.band_tables(prefix, solved.bands)
    outputs.band_figure(prefix, curves, PDF_AND_PNG, spread)
    outputs.potential_tables(prefix, solved.params)
    outputs.potential_figure(prefix, potentials, PDF_AND_PNG, spread)
    observables(session, prefix, solved, spread)
