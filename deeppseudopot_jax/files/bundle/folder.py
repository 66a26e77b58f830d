"""The files of an inputs folder: which were asked for, which are missing, which nobody read."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deeppseudopot_jax.files.bundle.text import Document, read_document
from deeppseudopot_jax.files.findings import BundleError, Finding, Findings

_CLOSE = 0.7  # difflib's ratio: 1 is equal
_BUNDLE_SUFFIXES = {".par", ".pth", ".dat", ".txt"}


@dataclass
class InputsFolder:
    """An inputs folder that remembers every file name it was asked for.

    So the legal names of a bundle are written down once, where each file is read, and what is
    left in the folder at the end was not understood. Files of some names may be `elsewhere`.
    """

    root: Path
    findings: Findings
    names: frozenset[str]
    legal: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path, findings: Findings) -> "InputsFolder":
        """The folder `root`; raises BundleError where there is none."""
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            raise BundleError([Finding(str(root), what, legal="an inputs folder")])
        # Folders too: one under the name of an input is a problem, not the absence of it.
        return cls(root, findings, frozenset(path.name for path in root.iterdir()))

    def path(self, name: str) -> Path | None:
        """The file `name` if it is there; from now on the name counts as legal."""
        self.legal.add(name)
        return self.elsewhere.get(name, self.root / name) if name in self.names else None

    def matching(self, pattern: str, example: str) -> list[Path]:
        """The files whose whole name matches a regular expression, as `example` does.

        They come in natural order.
        """
        self.legal.add(example)
        names = sorted(filter(re.compile(pattern).fullmatch, self.names), key=_natural)
        self.legal.update(names)
        return [self.root / name for name in names]

    def optional(self, name: str) -> Document | None:
        """The text of `name`, or None where it is absent or unreadable (then with a problem)."""
        path = self.path(name)
        return None if path is None else read_document(path, self.findings)

    def required(self, name: str, reason: str = "") -> Document | None:
        """The text of `name`; its absence is a problem, which may name the `reason` of its need."""
        if self.path(name) is None:
            self.missing[name] = f"is missing, but {reason} needs it" if reason else "is missing"
        return self.optional(name)

    def report_missing(self) -> None:
        """One problem per missing file; when all is read, only misnamed files are left over."""
        for name, message in self.missing.items():
            unread = [
                other for other in self.names - self.legal if _numbers(other) == _numbers(name)
            ]
            self.findings.problem(name, message, suggestion=nearest(name, unread))

    def note_unread(self, n_systems: int) -> None:
        """One note for every file that looks like part of a bundle and was not read."""
        for name in sorted(self.names - self.legal, key=_natural):
            if name.startswith(".") or Path(name).suffix not in _BUNDLE_SUFFIXES:
                continue
            self.findings.note(f"{name} is not read{self._reason(name, n_systems)}")

    def _reason(self, name: str, n_systems: int) -> str:
        index = re.fullmatch(r"(.*_)([0-9]+)(_.*)?(\..*)", name)
        if index and f"{index[1]}0{index[3] or ''}{index[4]}" in self.legal:
            return f": nSystem = {n_systems} reads the systems 0 to {n_systems - 1}"
        similar = nearest(name, self.legal)
        return f"; the nearest name that would be is {similar}" if similar else ""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, whatever the case of the letters; None if none is close."""
    by_lower_case = {candidate.lower(): candidate for candidate in sorted(candidates)}
    found = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=_CLOSE)
    return by_lower_case[found[0]] if found else None


def _numbers(name: str) -> list[str]:
    return re.findall("[0-9]+", name)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key with numbers in numerical order: mcOpts2.par before mcOpts10.par."""
    parts = re.split("([0-9]+)", name)  # text and digits in turn
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]
