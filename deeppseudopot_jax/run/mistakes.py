"""Errors that are not meant for users: one line for the screen, and a traceback to report."""

import errno
import traceback
from itertools import chain, count
from pathlib import Path

from deeppseudopot_jax.run.reporting import logged_in

MACHINE, MISTAKE = 71, 70
"""Exit codes of the command line (EX_OSERR and EX_SOFTWARE of sysexits.h)."""

_LONGEST = 200
_BEYOND = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO,
    errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM,
}  # fmt: skip
"""What an operating system refuses whatever the program does."""


def told(error: Exception, results: Path) -> tuple[str, int]:
    """One line about an error, and the exit code of the command.

    What the machine cannot do is said in its words. Everything else is a mistake of this program,
    and the line says where the traceback is: where no log has it, it is written to traceback.log in
    the results folder, or to the next free name; where that cannot be, it follows the line.
    """
    place = logged_in(error)
    limit = _limit(error)
    if limit is not None:
        return limit + (f"; the traceback is in {place}" if place else ""), MACHINE
    what = (str(error).splitlines() or [""])[0][:_LONGEST]
    text = f"{type(error).__name__}{what and f': {what}'}"
    line = f"a mistake of this program ({text}); please report it with the traceback in "
    if place is not None:
        return line + place, MISTAKE
    trace = "".join(traceback.format_exception(error))
    try:
        return line + str(_written(trace, results)), MISTAKE
    except OSError:
        return f"{line}the lines below\n{trace}", MISTAKE


def _limit(error: Exception) -> str | None:
    """What the machine could not do; None where something else is to blame."""
    if isinstance(error, MemoryError) or str(error).startswith("RESOURCE_EXHAUSTED"):
        return "the machine has not enough memory for this"
    if isinstance(error, OSError) and error.errno in _BEYOND:
        return f"{error.strerror}{'' if error.filename is None else f': {error.filename}'}"
    return None


def _written(text: str, results: Path) -> Path:
    """A new file with the text; none that is there is touched."""
    results.mkdir(parents=True, exist_ok=True)
    names = chain(["traceback.log"], (f"traceback_{number}.log" for number in count(2)))
    path = next(path for path in map(results.joinpath, names) if not path.exists())
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
