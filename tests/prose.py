"""The style of the prose for people: proselint, a word list, and the length of sentences.

    python tests/prose.py        # prints each finding as path:line: text; exit code 1 where there are any

Code, addresses and file names are blanked out first, so that a finding's line is that of the file. Words that
only this project used are in `private_terms`; here are those of any prose.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from proselint.checks import __register__
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).parent.parent
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md")
LONGEST = 40  # words of a sentence
# Checks of proselint that are off, as these are intended.
OFF = {
    "typography.symbols.curly_quotes": "straight quotes, as in the sources",
    "typography.symbols.ellipsis": "three dots, as in the sources",
    "typography.diacritical_marks": "takes the verb resume for the noun",
}
# Pattern -> what to write. Case counts only in patterns that have capitals in them.
WORDS = {
    # Fillers and long forms.
    r"\b(simply|basically|obviously|actually|of course|quite|really|easily)\b": "(leave it out)",
    r"\b(please|note that|it should be noted)\b": "(leave it out)",
    r"\butili[sz](e|es|ed|ing|ation)\b": "use",
    r"\bleverag(e|es|ed|ing)\b": "use",
    r"\bin order to\b": "to",
    r"\b(is|are|be) able to\b": "can",
    r"\bdue to the fact that\b": "because",
    r"\ba (large )?number of\b": "several, many, or the number",
    # Models are not persons.
    r"\b(model|network|transformer|encoder|codec|detector|extractor|service|page)s? "
    r"(knows?|wants?|thinks?|believes?|likes?|tries|try|decides?|understands?|guesses)\b": "what it computes",
    # One spelling each, as the code and the options have it.
    r"\b(normal|quant|optim|synthes|equal|initial|summar)iz(e|es|ed|ing|ation|er)\b": "-ise",
    r"\b(color|behavior|center)(s|ed)?\b": "colour, behaviour, centre",
    r"\bone shots?\b": "one-shot",
    r"\bhi hats?\b": "hi-hat",
    r"\bground truth\b": "reference",
    r"\b(Midi|Wav|Github|Pytorch|Mlflow|Numpy|Bento ML)\b": "the name's own capitals",
    r"\b(midi|wav|github|pytorch|mlflow|numpy)\b": "the name's own capitals",
}


# What is not prose, and the character that takes the place of each of its own.
BLANKED = (
    (r"^```.*?^```$", " "),
    (r"`[^`]+`", "x"),  # inline code becomes a word, so that a sentence keeps its shape
    (r"<[^>\n]+>", " "),
    (r"\]\([^)\s]*\)", " "),  # the addresses of links
    (r"https?://\S+|\b[\w./*-]+\.(py|md|yaml|json|toml|csv|wav|mid|html|lock)\b", " "),
    (r"\b\w+=\w+\b", " "),  # SCALE=paper
)


def blanked(text: str) -> str:
    """The prose alone, each other character a space, so that positions stay."""
    for pattern, by in BLANKED:
        text = re.sub(
            pattern, lambda match, by=by: re.sub(r"[^\n]", by, match.group()), text, flags=re.M | re.S
        )
    # proselint takes a word that ends one paragraph and begins the next for a repetition.
    return re.sub(r"^$", "|", text, flags=re.M)


def sentences(prose: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each sentence of the paragraphs; tables and headings have none."""
    for block in re.finditer(r"(?:^(?![|#\s]).+\n?(?:^(?![|#\-*]| *\d+\. ).+\n?)*)", prose, re.M):
        start = block.start()
        for part in re.finditer(r".+?(?:[.!?:;](?=\s|$)|\Z)", block.group(), re.S):
            yield prose.count("\n", 0, start + part.start()) + 1, part.group()


def findings(text: str) -> Iterator[tuple[int, str]]:
    """(line, finding) of a Markdown text."""
    prose = blanked(text)
    if not CheckRegistry().checks:  # once per process
        CheckRegistry().register_many(__register__)
    for result in LintFile("prose", prose).lint(DEFAULT):
        found = prose[
            slice(*(position - 1 for position in result.check_result.span))
        ]  # it adds a line before
        # Without a letter it is a repetition of digits: 0 0.
        if re.search("[a-z]", found) and not result.check_result.check_path.startswith(tuple(OFF)):
            yield (
                result.pos[0],
                f"{' '.join(result.check_result.message.split())} ({result.check_result.check_path})",
            )
    for pattern, better in WORDS.items():
        flags = 0 if re.search(r"(?<!\\)[A-Z]", pattern) else re.I
        # Names in lower case are looked for as they are: MIDI is not midi.
        flags = 0 if "capitals" in better else flags
        for match in re.finditer(pattern, prose, flags):
            yield prose.count("\n", 0, match.start()) + 1, f"'{match.group()}' -> {better}"
    for line, sentence in sentences(prose):
        if (count := len(re.findall(r"\w[\w'-]*", sentence))) > LONGEST:
            yield line, f"a sentence of {count} words: {' '.join(sentence.split())[:60]} ..."


def main() -> int:
    count = 0
    for path in (path for pattern in FILES for path in sorted(ROOT.glob(pattern))):
        for line, finding in sorted(findings(path.read_text())):
            print(f"{path.relative_to(ROOT)}:{line}: {finding}")
            count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
