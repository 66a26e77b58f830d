"""What reading a folder finds: problems that stop the run, notes that its user should see."""

from collections import Counter
from dataclasses import dataclass, field

from deeppseudopot_jax.errors import UserError

_SHOWN_PER_FILE = 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where it is, what was found and what is legal there."""

    file: str
    message: str
    line: int | None = None
    key: str | None = None
    found: str | None = None
    legal: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}"
        if self.found is not None:
            text += f"; found '{self.found}'"
        if self.legal is not None:
            text += f"; legal: {self.legal}"
        if self.suggestion is not None:
            text += f"; did you mean {self.suggestion}?"
        return text


class BundleError(UserError):
    """An inputs folder or file cannot be used; `problems` says why, file by file, line by line."""

    def __init__(self, problems: list[Finding], source: str = "") -> None:
        files = list(dict.fromkeys(problem.file for problem in problems))
        self.problems = tuple(
            sorted(problems, key=lambda problem: (files.index(problem.file), problem.line or 0))
        )
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        where = f" in {source}" if source else ""
        super().__init__("\n".join([f"{count}{where}:", *_listing(self.problems)]))


def _listing(problems: tuple[Finding, ...]) -> list[str]:
    """One line per problem; the flood from one broken file is cut short."""
    shown: Counter[str] = Counter()
    lines = []
    for problem in problems:
        shown[problem.file] += 1
        if shown[problem.file] <= _SHOWN_PER_FILE:
            lines.append(f"  {problem}")
    for file, count in shown.items():
        if count > _SHOWN_PER_FILE:
            lines.append(f"  {file}: and {count - _SHOWN_PER_FILE} more problems")
    return lines


@dataclass
class Findings:
    """Collects problems and notes over all files, so that they are told together."""

    problems: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(
        self,
        file: str,
        message: str,
        *,
        line: int | None = None,
        key: str | None = None,
        found: str | None = None,
        legal: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        """Record one problem; reading goes on."""
        self.problems.append(Finding(file, message, line, key, found, legal, suggestion))

    def note(self, text: str) -> None:
        """Record a remark for the user."""
        self.notes.append(text)

    def raise_if_any(self, source: str) -> None:
        """Raise BundleError with all the problems found so far, if there are any."""
        if self.problems:
            raise BundleError(self.problems, source)
