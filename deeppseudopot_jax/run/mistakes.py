"""Errors that no user can mend: one line for the screen, and a traceback to report."""

import traceback
from itertools import chain, count
from pathlib import Path

from deeppseudopot_jax.run.reporting import logged_in

MISTAKE = 70
"""Exit code of the command line (EX_SOFTWARE of sysexits.h)."""

_LONGEST = 200


def told(error: Exception, results: Path) -> str:
    """One line about a mistake of this program, which says where the traceback is.

    Where no log has it, it is written to traceback.log in the results folder, or to the next free
    name; where that cannot be, it follows the line.
    """
    what = (str(error).splitlines() or [""])[0][:_LONGEST]
    text = f"{type(error).__name__}{what and f': {what}'}"
    line = f"a mistake of this program ({text}); please report it with the traceback in "
    place = logged_in(error)
    if place is not None:
        return line + place
    trace = "".join(traceback.format_exception(error))
    try:
        return line + str(_written(trace, results))
    except OSError:
        return f"{line}the lines below\n{trace}"


def _written(text: str, results: Path) -> Path:
    """A new file with the text; none that is there is touched."""
    results.mkdir(parents=True, exist_ok=True)
    names = chain(["traceback.log"], (f"traceback_{number}.log" for number in count(2)))
    path = next(path for path in map(results.joinpath, names) if not path.exists())
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
