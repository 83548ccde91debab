"""Hydrogen's .h2drumkit: a gzipped tar of drumkit.xml and the samples."""

import gzip
import io
import tarfile
from xml.etree import ElementTree

from dose.kits.drumkit import DrumKit, Key, layers, safe_name

MAX_LAYERS = 16  # per instrument, by Hydrogen's default setting
NAMESPACE = "http://www.hydrogen-music.org/drumkit"


def archive(kit: DrumKit) -> bytes:
    """The whole .h2drumkit; equal kits give equal bytes (no times, no owners)."""
    folder = safe_name(kit.name)
    files = {"drumkit.xml": drumkit_xml(kit), **{f"{s.name}.wav": s.wav for s in kit.sounds}}
    buffer = io.BytesIO()
    # USTAR without times and owners; gzip's own time is 0.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(body)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(body))
    return gzip.compress(buffer.getvalue(), mtime=0)


def drumkit_xml(kit: DrumKit) -> bytes:
    """drumkit.xml, with the elements in the order of Hydrogen's XML schema."""
    root = ElementTree.Element("drumkit_info", xmlns=NAMESPACE)
    add_texts(root, name=kit.name, author="DOSE", info=kit.comment, license="undefined license", image="")
    add_texts(root, imageLicense="undefined license")
    component = ElementTree.SubElement(ElementTree.SubElement(root, "componentList"), "drumkitComponent")
    add_texts(component, id="0", name="Main", volume="1")
    instruments = ElementTree.SubElement(root, "instrumentList")
    for number, key in enumerate(kit.keys):
        add_instrument(instruments, number, key, kit)
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def add_instrument(
    parent: ElementTree.Element, number: int, key: Key, kit: DrumKit, drumkit: str | None = None
) -> None:
    """Adds the instrument of a key; a song also names the `drumkit` whose folder holds the samples."""
    instrument = ElementTree.SubElement(parent, "instrument")
    add_texts(instrument, id=str(number), name=key.title)
    if drumkit is not None:
        add_texts(instrument, drumkit=drumkit)
    add_texts(instrument, volume="1", isMuted="false", isSoloed="false")
    add_texts(instrument, pan="0", pitchOffset="0", randomPitchFactor="0", gain="1", applyVelocity="true")
    add_texts(instrument, filterActive="false", filterCutoff="1", filterResonance="0")
    # No envelope but a release of 1000 frames, and no mute group.
    add_texts(instrument, Attack="0", Decay="0", Sustain="1", Release="1000", muteGroup="-1")
    add_texts(instrument, midiOutChannel="9", midiOutNote=str(key.note), isStopNote="false")
    selection = "ROUND_ROBIN" if kit.layering == "round-robin" else "VELOCITY"
    add_texts(instrument, sampleSelectionAlgo=selection, isHihat="-1", lower_cc="0", higher_cc="127")
    add_texts(instrument, FX1Level="0", FX2Level="0", FX3Level="0", FX4Level="0")
    component = ElementTree.SubElement(instrument, "instrumentComponent")
    add_texts(component, component_id="0", gain="1")
    for layer in layers(key.pad, kit.layering):
        # Hydrogen's velocities are 0 to 1, and adjacent layers share their boundary.
        low, high = (layer.low - 1) / 127, layer.high / 127
        element = ElementTree.SubElement(component, "layer")
        add_texts(element, filename=f"{layer.sound.name}.wav", min=f"{low:.6f}", max=f"{high:.6f}")
        add_texts(element, gain="1", pitch="0")


def add_texts(parent: ElementTree.Element, **values: str) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = value
