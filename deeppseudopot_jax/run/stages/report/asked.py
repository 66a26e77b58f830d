"""What was asked: settings, systems, references."""

from collections import Counter

from deeppseudopot_jax.files.results.report.page import Block, Listing, Section, Table, Text, number
from deeppseudopot_jax.run.stages.report.subject import Subject
from deeppseudopot_jax.types import Bundle, SystemInput


def asked(subject: Subject) -> Section:
    """The settings that are not at their defaults, and every system with what it is fitted to."""
    bundle, log = subject.bundle, subject.finished.log()
    blocks: list[Block] = [
        Text(
            f"Bundle {bundle.folder.resolve()}. Keys of NN_config.par that are not at their "
            "defaults, and the systems; everything else is as docs/bundle.md says."
        ),
        Table("Settings", ("Key", "Value", "What it does"), _settings(bundle)),
        Table("Systems", _COLUMNS, [_row(system) for system in bundle.systems]),
    ]
    told = [line.partition("] ")[2].strip() for line in log.splitlines()]
    remarks = [line for line in told if line.startswith(("note: ", "warning: "))]
    if remarks:
        blocks.append(Listing("Remarks of the run", "\n".join(dict.fromkeys(remarks))))
    return Section("asked", "What was asked", blocks)


_COLUMNS = (
    "System", "Atoms", "k-points", "held out", "Bands", "Cutoff (Ha)", "Levels with weight",
    "Weight of bands", "Valence, conduction band", "Also fitted",
)  # fmt: skip


def _settings(bundle: Bundle) -> list[tuple[str, str, str]]:
    effects = {
        str(info.alias): " ".join(str(info.description).split())
        for info in type(bundle.settings).model_fields.values()
    }
    return [(key, value, effects[key]) for key, value in bundle.settings.changed().items()]


def _row(system: SystemInput) -> tuple[str, ...]:
    atoms = Counter(system.crystal.symbols)
    known = 0
    if system.reference_energies is not None:
        known = int((system.level_weights > 0.0).sum())
    weights = system.band_weights
    also = {
        "deformation potentials": system.fit_deformation,
        "couplings": system.fit_couplings,
        "masses": system.fit_masses,
    }
    edges = (system.valence_band, system.conduction_band)
    return (
        system.name,
        " ".join(symbol + (str(n) if n > 1 else "") for symbol, n in atoms.items()),
        str(len(system.k_points)),
        str(int((~system.is_fitted).sum())),
        str(system.n_bands),
        number(system.max_kinetic_energy, 3),
        str(known),
        _span(float(weights.min()), float(weights.max())),
        ", ".join("not named" if edge is None else str(edge) for edge in dict.fromkeys(edges)),
        ", ".join(name for name, fitted in also.items() if fitted) or "nothing",
    )


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
