"""Akai MPC drum program, .xpm of the MPC 2 generation: XML beside its samples.

A program has 128 instruments, one per pad, with four layers each; further sounds of a drum are omitted.
"""

from xml.etree import ElementTree

from dose.kits.drumkit import DrumKit, Pad, layers

PADS, MAX_LAYERS = 128, 4


def program(kit: DrumKit) -> bytes:
    """The whole .xpm; the WAVs lie in the same folder, as the MPC expects."""
    root = ElementTree.Element("MPCVObject")
    version = ElementTree.SubElement(root, "Version")
    # The version numbers of the MPC 2 software.
    _texts(version, File_Version="2.1", Application="MPC-V", Application_Version="2.10.0.0", Platform="OSX")
    drum_program = ElementTree.SubElement(root, "Program", type="Drum")
    _texts(drum_program, ProgramName=kit.name, Volume="1.000000", Mute="False", Pan="0.500000")
    _texts(drum_program, Pitch="0.000000", TuneCoarse="0", TuneFine="0", Mono="False")
    _texts(drum_program, Program_Polyphony="16")
    keys = kit.keys
    instruments = ElementTree.SubElement(drum_program, "Instruments")
    # All 128 instruments must be there; unused pads have no layers.
    for number in range(PADS):
        _instrument(instruments, number, keys[number].pad if number < len(keys) else None, kit)
    note_map = ElementTree.SubElement(drum_program, "PadNoteMap")
    group_map = ElementTree.SubElement(drum_program, "PadGroupMap")
    for number, note in enumerate(pad_notes([key.note for key in keys]), 1):
        _texts(ElementTree.SubElement(note_map, "PadNote", number=str(number)), Note=str(note))
        _texts(ElementTree.SubElement(group_map, "PadGroup", number=str(number)), Group="0")
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def pad_notes(first: list[int]) -> list[int]:
    """A distinct MIDI note for each of the 128 pads: `first` on pads A01, A02 ..., then the other notes."""
    return first + [note for note in range(PADS) if note not in first]


def _instrument(parent: ElementTree.Element, number: int, pad: Pad | None, kit: DrumKit) -> None:
    instrument = ElementTree.SubElement(parent, "Instrument", number=str(number + 1))
    _texts(instrument, Volume="1.000000", Mute="False", Pan="0.500000", TuneCoarse="0", TuneFine="0")
    _texts(instrument, Mono="False", Polyphony="2", LowNote="0", HighNote="127", IgnoreBaseNote="False")
    # ZonePlay, the selection of a pad's layers: 0 cycles, 1 is by velocity.
    cycle = kit.layering == "round-robin" and pad is not None and len(pad.sounds) > 1
    _texts(instrument, ZonePlay="0" if cycle else "1", MuteGroup="0", TriggerMode="0")
    _texts(instrument, VolumeAttack="0.000000", VolumeHold="0.000000", VolumeDecay="0.000000")
    _texts(instrument, VolumeSustain="1.000000", VolumeRelease="0.000000", VelocitySensitivity="1.000000")
    slots = ElementTree.SubElement(instrument, "Layers")
    kept = None if pad is None else Pad(drum=pad.drum, sounds=pad.sounds[:MAX_LAYERS])
    for slot, layer in enumerate([] if kept is None else layers(kept, kit.layering), 1):
        element = ElementTree.SubElement(slots, "Layer", number=str(slot))
        _texts(element, Active="True", Volume="1.000000", Pan="0.500000", Pitch="0.000000")
        _texts(element, TuneCoarse="0", TuneFine="0", VelStart=str(layer.low), VelEnd=str(layer.high))
        _texts(element, SampleStart="0", SampleEnd=str(layer.sound.audio.shape[-1]), Loop="False")
        _texts(element, RootNote="0", KeyTrack="False", SampleName=layer.sound.name)
        _texts(element, SampleFile=f"{layer.sound.name}.wav")


def _texts(parent: ElementTree.Element, **values: str) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = value
