"""Hydrogen drum kits: drumkit.xml names each instrument and the sound files of its layers."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from dose.errors import IntegrityError
from dose.sources.cleaning import read
from dose.sources.item import SourceItem


@dataclasses.dataclass(frozen=True, kw_only=True)
class HydrogenKit:
    """Facts about a packaged kit that its XML does not give."""

    group: str
    licence: str
    author: str
    by_file: bool = False  # the XML mislabels instruments: file names decide


# Audiophob's file names show other people's uploads, so it is not read. circAfrique and Gimme A Hand hold
# hand percussion only; the rules below find no class in them.
KITS = {
    "GMRockKit": HydrogenKit(group="macarthur", licence="GPL-2+", author="Glen MacArthur, Sebastian Moors"),
    "The Black Pearl 1.0": HydrogenKit(group="macarthur", licence="GPL-2", author="Glen MacArthur"),
    "Gimme A Hand 1.0": HydrogenKit(group="macarthur", licence="GPL-2", author="Glen MacArthur"),
    "TR808EmulationKit": HydrogenKit(group="tr808emu", licence="GPL-2+", author="ArtemioLabs"),
    "BJA_Pacific": HydrogenKit(
        group="bja-pacific", licence="CC-BY-SA-3.0-US", author="Bransin James Anderson, Luc Tanguay"
    ),
    "Millo-Drums_v.1": HydrogenKit(group="millo", licence="GPL-2", author="Emiliano Grilli"),
    "Millo_MultiLayered2": HydrogenKit(group="millo", licence="GPL-2", author="Emiliano Grilli"),
    "Millo_MultiLayered3": HydrogenKit(group="millo", licence="GPL-2", author="Emiliano Grilli"),
    "rumpf_kit_z01_h2": HydrogenKit(group="rumpf", licence="CC-BY-3.0", author="Emanuel Rumpf"),
    "ColomboAcousticDrumkit": HydrogenKit(
        group="colombo",
        licence="GPL-2+ with composition exception",
        author="Marcos Guglielmetti",
        by_file=True,
    ),
    "VariBreaks": HydrogenKit(group="varibreaks", licence="GPL-2+", author="Artemiy Pavlov"),
    "HardElectro1": HydrogenKit(group="hardelectro1", licence="GPL-2+", author="Artemiy Pavlov"),
    "ElectricEmpireKit": HydrogenKit(group="electric-empire", licence="GPL-2+", author="Artemiy Pavlov"),
    "ForzeeStereo": HydrogenKit(
        group="forzee", licence="GPL-2", author="Vladimir Sadovnikov, Alexander Belokurov"
    ),
}
LEFT_OUT = {"Audiophob", "belofilms_GuitarStrums"}  # strums.py reads the strums

# Read in this order; the first that matches decides. "" is no class: a roll is no single hit.
RULES = (
    (re.compile(r"\broll|cajon"), "", ""),
    (re.compile(r"clap"), "clap", ""),
    (re.compile(r"stick|rim\b|rim ?click|cow ?bell"), "percussion", ""),
    (re.compile(r"tom"), "tom", ""),
    (re.compile(r"crash|china|splash"), "cymbal", "crash"),
    (re.compile(r"ride|cymbal|bell"), "cymbal", "ride"),
    (re.compile(r"kick|bass ?drum|\bbd[\b_]?"), "kick", ""),
    (re.compile(r"snare|\bsn[\b_]"), "snare", ""),
    (re.compile(r"(hat|hh).*(semi|half|swish)|semi.*(hat|hh)|(hat|hh).*free"), "hihat", "half-open"),
    (re.compile(r"(hat|hh)\w*.*(pedal|pd\b|foot|choke)|pedal.*(hat|hh)"), "hihat", "pedal"),
    (re.compile(r"(hat|hh)\w*.*(open|op\b)|open.*(hat|hh)|\bohh\b"), "hihat", "open"),
    (re.compile(r"(hat|hh)\w*.*(clos|cl\b)|clos.*(hat|hh)|\bchh\b|\bhh\b"), "hihat", "closed"),
)


@dataclasses.dataclass(frozen=True)
class InstrumentLabel:
    cls: str
    variant: str


def label(name: str) -> InstrumentLabel | None:
    """The class and variant in an instrument's name, None where it names no class."""
    # Words are divided by spaces, hyphens or underscores.
    text = re.sub(r"[-_]+", " ", name.lower())
    for pattern, cls, variant in RULES:
        if pattern.search(text):
            return InstrumentLabel(cls, variant) if cls else None
    return None


def source_items(root: Path, package: str, version: str) -> Iterator[SourceItem]:
    """All labelled layers of all kits below `root`, in a stable order."""
    for xml in sorted(root.rglob("drumkit.xml")):
        folder = xml.parent
        if folder.name in LEFT_OUT:
            continue
        kit = KITS.get(folder.name) or _kit_of_xml(xml)
        for file, found in sorted(_files(xml, kit.by_file).items()):
            path = folder / file
            yield SourceItem(
                name=f"{folder.name} {path.stem}",
                cls=found.cls,
                variant=found.variant,
                load=lambda p=path: read(p, "oneshot"),  # type: ignore[misc]
                source="debian",
                group=kit.group,
                package=package,
                version=version,
                kit=folder.name,
                author=kit.author,
                licence=kit.licence,
                attribution=f"{folder.name} by {kit.author} ({kit.licence})",
                origin=f"{package}: {folder.name}/{file}",
            )


def _files(xml: Path, by_file: bool) -> dict[str, InstrumentLabel]:
    """Sound file -> label; a file named by several instruments goes with the first."""
    found: dict[str, InstrumentLabel] = {}
    for instrument in _parse(xml).iter("instrument"):
        names = [f.text.strip() for f in instrument.iter("filename") if f.text and f.text.strip()]
        by_name = label(instrument.findtext("name") or "")
        for file in names:
            labelled = label(Path(file).stem) if by_file else by_name
            if labelled:
                found.setdefault(file, labelled)
    return found


def _parse(xml: Path) -> ET.Element:
    """The document without its namespace, which only some kits declare."""
    try:
        text = xml.read_text(encoding="utf-8", errors="replace")
        # Without the namespace, tags have the same names in all kits.
        return ET.fromstring(re.sub(r'\sxmlns="[^"]*"', "", text, count=1))
    except ET.ParseError as e:
        raise IntegrityError(f"{xml} is not a Hydrogen drum kit ({e}); fetch the package again.") from e


def _kit_of_xml(xml: Path) -> HydrogenKit:
    """A kit that KITS does not name, as its own XML describes it."""
    root = _parse(xml)
    author = (root.findtext("author") or "unknown").strip()
    licence = (root.findtext("license") or "").strip() or "unknown"
    return HydrogenKit(group=f"hydrogen/{xml.parent.name}", licence=licence, author=author)
