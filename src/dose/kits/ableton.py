"""Ableton Live's .adg: a Drum Rack with one Simpler per pad, as gzipped XML.

Live's own files hold thousands of elements at their defaults; this writes only those with other values. The
samples lie beside the rack. A Simpler plays one sample, so the best sound of a drum takes the drum's pad, and
each further candidate takes a pad of its own, an octave higher each. The hi-hat's best sound takes the pads
of the pedal and the open hi-hat, too.
"""

import gzip
from xml.etree import ElementTree

from dose.kits.drumkit import DrumKit, Pad, Sound

# Live counts the pads of a rack down from the top of the MIDI range.
NOTES = 128
OCTAVE = 12


def rack(kit: DrumKit, samples: str = "") -> bytes:
    """The whole .adg; `samples` is the folder of the WAVs relative to it, ending in a slash, or empty."""
    root = ElementTree.Element(
        "Ableton",
        # The version numbers of Live 11.
        MajorVersion="5",
        MinorVersion="11.0_11300",
        SchemaChangeCount="3",
        Creator="DOSE",
        Revision="",
    )
    preset = ElementTree.SubElement(root, "GroupDevicePreset")
    _value(preset, "OverwriteProtectionNumber", 2816)
    device = ElementTree.SubElement(ElementTree.SubElement(preset, "Device"), "DrumGroupDevice", Id="0")
    _value(device, "UserName", kit.name)
    _value(device, "Annotation", kit.comment)
    branches = ElementTree.SubElement(preset, "BranchPresets")
    for number, (note, title, sound) in enumerate(_assign(kit)):
        _branch(branches, number, note, title, sound, kit.rate, samples)
    ElementTree.indent(root, "\t")
    xml = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    # Without a time, the same kit gives the same bytes.
    return gzip.compress(xml, mtime=0)


def capacity(pad: Pad) -> int:
    """The number of a pad's sounds that have a note within the MIDI range."""
    return sum(pad.note + OCTAVE * i < NOTES for i in range(len(pad.sounds)))


def _assign(kit: DrumKit) -> list[tuple[int, str, Sound]]:
    """(note, title, sound) of every sound: the best on its General MIDI notes, others octaves above."""
    assigned = []
    for pad in kit.pads:
        for i, sound in enumerate(pad.sounds[: capacity(pad)]):
            assigned.append((pad.note + OCTAVE * i, pad.title if i == 0 else f"{pad.title} {i + 1}", sound))
    # No octave of another drum: kicks lie on C, snares on D, hi-hats on F#, and these on G# and A#.
    own = {pad.note for pad in kit.pads}
    return assigned + [(key.note, key.title, key.pad.sounds[0]) for key in kit.keys if key.note not in own]


def _branch(
    parent: ElementTree.Element,
    number: int,
    note: int,
    title: str,
    sound: Sound,
    rate: int,
    samples: str,
) -> None:
    branch = ElementTree.SubElement(parent, "DrumBranchPreset", Id=str(number))
    _value(branch, "Name", title)
    _value(branch, "IsSoloed", "false")
    devices = ElementTree.SubElement(branch, "DevicePresets")
    preset = ElementTree.SubElement(devices, "AbletonDevicePreset", Id="0")
    _value(preset, "OverwriteProtectionNumber", 2816)
    simpler = ElementTree.SubElement(ElementTree.SubElement(preset, "Device"), "OriginalSimpler", Id="0")
    player = ElementTree.SubElement(simpler, "Player")
    parts = ElementTree.SubElement(ElementTree.SubElement(player, "MultiSampleMap"), "SampleParts")
    _sample_part(parts, sound, rate, samples)
    # 1 is one-shot mode: the sample plays to its end, also after note-off.
    _value(ElementTree.SubElement(simpler, "Globals"), "PlaybackMode", 1)
    zone = ElementTree.SubElement(branch, "ZoneSettings")
    _value(zone, "ReceivingNote", NOTES - note)
    # The Simpler is always played at its root key, so that no pad is transposed.
    _value(zone, "SendingNote", 60)
    _value(zone, "ChokeGroup", 0)


def _sample_part(parts: ElementTree.Element, sound: Sound, rate: int, samples: str) -> None:
    frames = sound.audio.shape[-1]
    part = ElementTree.SubElement(parts, "MultiSamplePart", Id="0")
    _value(part, "Name", sound.name)
    for name in ("KeyRange", "VelocityRange"):
        extent = ElementTree.SubElement(part, name)
        # The whole range, without crossfades; MIDI velocity 0 is a note-off.
        low = 0 if name == "KeyRange" else 1
        for key, value in (("Min", low), ("Max", 127), ("CrossfadeMin", low), ("CrossfadeMax", 127)):
            _value(extent, key, value)
    _value(part, "RootKey", 60)
    _value(part, "SampleStart", 0)
    _value(part, "SampleEnd", frames)
    reference = ElementTree.SubElement(part, "SampleRef")
    file = ElementTree.SubElement(reference, "FileRef")
    _value(file, "RelativePathType", 1)  # relative to this document
    _value(file, "RelativePath", f"{samples}{sound.name}.wav")
    _value(file, "Path", "")
    _value(file, "Type", 2)
    _value(file, "OriginalFileSize", len(sound.wav))
    _value(file, "OriginalCrc", 0)
    _value(reference, "DefaultDuration", frames)
    _value(reference, "DefaultSampleRate", rate)


def _value(parent: ElementTree.Element, name: str, value: object) -> None:
    ElementTree.SubElement(parent, name, Value=str(value))
