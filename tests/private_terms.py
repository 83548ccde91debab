"""Words that only this project used, and the field's own word for each: none may come back.

A term is searched in two forms of every line: as it stands (`raw`), and split into lower-case words
(`_PictureLoss.picture_weight` becomes "picture loss picture weight"), so that one pattern finds a word in
prose and in every kind of identifier.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SEARCHED = (
    "src/**/*.py", "serving/**/*.py", "serving/web/*.js", "serving/web/*.html", "pipelines/**/*.py",
    "pipelines/scales/*.yaml", "experiments/**/*.py", "experiments/**/*.yaml", "benchmarks/**/*.py",
    "docs/*.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "params.yaml", "Makefile",
)  # fmt: skip

# Lines that keep an old name readable: config metadata, options that state their former name, and keys of
# stored files (with a comment that says "old name").
ALIAS = re.compile(r"\bwas\(|\b[Oo]ld names?\b|\b[Ff]ormer(ly| name)\b")
# (path pattern, words of the line, reason): lines in which a term is not private.
ALLOWED = (
    ("*soundfont*", r"\bbanks?\b", "the SoundFont format numbers its presets by bank"),
    ("*sf2*", r"\bbanks?\b", "the SoundFont format numbers its presets by bank"),
    ("*/compat/format1.py", r"\b(listener|aligned)\b", "tensor names of checkpoint format 1"),
    ("*/sweep/table.py", r"\b(shuffle gap|picture loss)\b", "metric names of the last release"),
    ("benchmarks/identity_probes/*", "", "the base commit's names, for the comparison with it"),
    ("*/evaluate/transcription/presence.py", r"\bdraw\b", "RMOD's function that draws a specification"),
    ("*/extract/calibration_data.py", r"\bdraw\b", "RMOD's function that draws a specification"),
    ("*/rmod/realistic/styles.py", r"\bhouse\b", "the style of music"),
    ("serving/web/*.html", r"\bclass check\b", "a CSS class"),
    ("*", r"\bdose lab\b", "the extra of the package, pip install 'dose[lab]'"),
    ("*/baselines/larsnet*", r"\bbanks?\b", "LarsNet is a bank of U-Nets in its paper's words"),
)


@dataclasses.dataclass(frozen=True)
class Term:
    """One private word. `example` is a line that it must be found in."""

    pattern: str
    standard: str
    example: str
    where: tuple[str, ...] = ("",)  # beginnings of the paths in which the word is private
    raw: bool = False

    def found(self, line: str) -> bool:
        return re.search(self.pattern, line if self.raw else words(line)) is not None

    def applies(self, path: str) -> bool:
        return path.startswith(self.where)


EXTRACT = (
    "src/dose/extract",
    "src/dose/evaluate",
    "src/dose/commands/extract",
    "docs/extract",
    "docs/benchmark",
)
MODEL = ("src/dose/model", "src/dose/train", "src/dose/tokens", "docs/model", "docs/training")
MACHINE = "(model|transformer|network|encoder|decoder|codec|detector|fit)"
TERMS = (
    # Model
    Term(r"(?<!event )\blisteners?\b", "condition encoder", "class MixListener:"),
    Term(r"\bpictures?\b", "band-energy spectrogram; screenshot; image", "picture_weight: 0.5"),
    Term(
        r"\b(un)?hear[sd]\b|\bheard\b",
        "conditioning features; is conditioned on; decoded",
        "the model hears the mix",
    ),
    Term(r"\bexcerpts?\b", "onset-aligned segment", "excerpts of the mix"),
    Term(r"\bcells?\b", "(codebook, step) positions", "cells = steps * codebooks", MODEL),
    Term(r"\brows?\b", "time steps", "for row in rows:", ("src/dose/model", "src/dose/tokens")),
    Term(
        r"\bentries\b\s*[:=]|\.entries\b",
        "codebook size",
        "entries: int = 1024",
        (*MODEL, "params.yaml"),
        raw=True,
    ),
    Term(r"\badopt(s|ed)?\b", "codebook initialisation", "def adopt(self, vectors)"),
    Term(
        r"\blanes?\b",
        "batch slot",
        "for lane in lanes:",
        ("src/dose/model/decode", "src/dose/model/engine", *EXTRACT),
    ),
    Term(r"\bcompany\b", "batch composition", "whatever company it has in a batch"),
    Term(
        r"structure\W+(==\s*)?[\"']?(fixed|free)\b",
        "constrained or unconstrained decoding",
        "structure: fixed",
        raw=True,
    ),
    Term(r"\btold\b", "is conditioned on; is passed; reported", "the model is told the onsets"),
    Term(rf"\bsaid\b|\b{MACHINE}s? says?\b", "generates; reports", "what the model says"),
    Term(
        rf"\b{MACHINE}s?\b( (that|which|it|has|have|never|not))* (sees|saw|seen)\b",
        "is conditioned on; is trained on",
        "a codec never saw it",
    ),
    Term(r"\bby heart\b", "memorises", "learns its kits by heart"),
    # Training
    Term(r"\blisten steps\b", "encoder pre-training steps", "listen_steps: 400"),
    Term(r"\bshuffle gap\b", "conditioning gap", "metrics['shuffle_gap']"),
    Term(r"\bequalis(e|es|ed|ing)\b", "EQ augmentation", "equalise: 0.5"),
    Term(r"\btwins?\b", "paired ablation run; reference implementation", "its twin without the loss"),
    # Extraction
    Term(r"\bdraws?\b|\bdrawn\b", "sample", "of several draws", EXTRACT),
    Term(r"\b(un)?borrow(s|ed|ing)?\b", "source energy ratio", "borrowed = energy / total"),
    Term(r"\bstands? free\b", "unmasked", "where the drum stands free"),
    Term(r"\bthe record\b", "the input mix", "taken from the record"),
    Term(r"\bgrains?\b", "fine structure", "its grain is made up"),
    Term(r"\b(Voice|voices?)\b", "drum model", "self.voices[drum]", ("src/dose/extract",), raw=True),
    Term(r"\bclarity\b", "onset SNR", "clarity > 3"),
    Term(r"(?<!noise )\bshaping\b", "spectral envelope matching", "spectral shaping"),
    # Data
    Term(r"(?<!filter )\bbanks?\b", "sample library", "the bundled bank"),
    Term(r"\bcatalogues?\b", "sample library", "--catalogue"),
    Term(r"\brecipes?\b", "mix specification", "the recipe of a mix"),
    Term(
        r"\b([Aa]n?|the|[Ee]ach|[Ee]very|one|these|all|of|no) takes?\b(?! (a|an|the)\b)"
        r"|(?<![\w.])takes?(?=\.\w|\s*[=:)\]]|, \w+ (=|in)\b| in\b|\()|\bdef takes?\b",
        "source item",
        "for take in takes(folder):",
        raw=True,
    ),
    Term(
        r"\bvariations?\b",
        "augmentation",
        "variation of a hit",
        ("src/dose/rmod", "docs/rmod", "params.yaml"),
    ),
    # Evaluation
    Term(r"(?<!ground )\btruths?\b", "reference", "never by the truth"),
    Term(r"\bjudge[sd]?\b|\bjudge?ments?\b|\bjudging\b", "metric", "class Judge:"),
    Term(r"\bclass checks?\b", "drum classifier accuracy", "class_check: 0.9"),
    Term(r"\bcopy checks?\b", "nearest-neighbour memorisation", "copy_check"),
    Term(r"\bgap closed\b|\bcloses? [\d., andt]*of the gap\b", "normalised improvement", "gap_closed"),
    Term(r"\bluck\b", "seed variance", "luck = std of seeds"),
    Term(r"\bdifficulty\b", "item variance", "difficulty of the items"),
    # Platform
    Term(r"\bworkshops?\b", "worktree", "class Workshop:"),
    Term(r"\bjournals?\b(?! (mode|ctl))", "run state", "journal.json"),
    Term(r"\bintakes?\b", "ingestion", "retrain.intake"),
    Term(r"\brelays?\b", "Tune callback", "class Relay:"),
    Term(r"\brecorders?\b", "logger", "class Recorder:"),
    Term(r"\b(import|from \S+ import) together\b|\btogether\.(py|\w+\()", "ddp", "import together", raw=True),
    Term(r"\bhouses?\b", "app state; package", "class House:"),
    Term(
        r"\brooms\b|\b(this|each|every|own|check) room\b", "package; capacity", "each room imports downwards"
    ),
    Term(r"\bdoors?\b", "entry point", "the two doors"),
    Term(r"\blab\b", "evaluation", "only the lab knows it"),
    # Serving
    Term(r"\bdesks?\b", "concurrency limiter", "desk.place()", ("serving",)),
    Term(r"\bBuckets\b", "token bucket", "class Buckets:", raw=True),
    Term(r"\brefusals?\b", "APIError", "raise Refusal(404)"),
    Term(r"\bkeepers?\b", "reaper", "class Keeper:"),
    Term(r"\bledgers?\b", "registry client", "ledger.py"),
    Term(r"\bShadows\b", "shadow traffic", "class Shadows:", raw=True),
    Term(
        r"\bimport kept\b|\bkept\.(py|[a-z_]+\()|\bkept_kits?\b",
        "kit_store",
        "from serving import kept",
        ("serving/",),
        raw=True,
    ),
    Term(
        r"\b(Ask|Shape|Choice|Gate)\b",
        "ExtractParams, RenderParams, KitParams; middleware",
        "class Ask(BaseModel):",
        ("serving/",),
        raw=True,
    ),
    Term(
        r"\bimport (short|songs|signals|work|documents)\b",
        "routers, feedback, inference, openapi",
        "from serving import songs",
        ("serving/",),
        raw=True,
    ),
)


def words(line: str) -> str:
    """A line as lower-case words, with identifiers of every style split."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9'.,]+", " ", line)
    return split.lower()


def lines() -> Iterator[tuple[str, int, str]]:
    """(path, number, line) of every line that is searched."""
    for pattern in SEARCHED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT)
            if "vendor" in name.parts:
                continue
            allowed = [p for glob, p, _ in ALLOWED if fnmatch.fnmatch(name.as_posix(), glob)]
            renamed = False  # inside a documentation section that lists old names
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if name.suffix == ".md" and line.startswith("#"):
                    renamed = "Renamed" in line
                if not (renamed or ALIAS.search(line) or any(re.search(p, words(line)) for p in allowed)):
                    yield name.as_posix(), number, line


def uses() -> dict[Term, list[str]]:
    """The places, "path:number: line", of every term that is still used."""
    found: dict[Term, list[str]] = {}
    for path, number, line in lines():
        for term in TERMS:
            if term.applies(path) and term.found(line):
                found.setdefault(term, []).append(f"{path}:{number}: {line.strip()}")
    return found
