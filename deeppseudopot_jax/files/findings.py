"""What reading a folder finds: problems that stop the run, notes that its user should see."""

from collections import Counter
from dataclasses import dataclass, field, replace

from deeppseudopot_jax.errors import UserError

_SHOWN_PER_FILE = 20
_SHOWN_RANGES = 8


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
        return self.at("" if self.line is None else f":{self.line}")

    def at(self, lines: str) -> str:
        """The sentence with these lines behind the name of the file."""
        text = f"{self.file}{lines}: {self.message}"
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
    """One line for all problems that differ by their line alone; the rest of a flood is counted."""
    alike: dict[Finding, list[int]] = {}
    for problem in problems:
        numbers = alike.setdefault(replace(problem, line=None), [])
        if problem.line is not None:
            numbers.append(problem.line)
    shown: Counter[str] = Counter()
    more: Counter[str] = Counter()
    lines = []
    for problem, numbers in alike.items():
        shown[problem.file] += 1
        if shown[problem.file] <= _SHOWN_PER_FILE:
            lines.append(f"  {problem.at(_ranges(numbers))}")
        else:
            more[problem.file] += max(len(numbers), 1)
    return lines + [f"  {file}: and {count} more problems" for file, count in more.items()]


def _ranges(numbers: list[int]) -> str:
    """Ascending line numbers, as in ":3", ":3-9,12"; empty where there are none."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number <= runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    cut = [*texts[:_SHOWN_RANGES], "..."] if len(texts) > _SHOWN_RANGES else texts
    return f":{','.join(cut)}" if cut else ""


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
