"""Hydrogen's .h2song: a song of one pattern, the typical bar, played by the kit's .h2drumkit in a loop.

The song names the drumkit by its folder, so Hydrogen finds the sounds once the .h2drumkit is installed
(Drumkits > Import). Hits of classes that the kit has no sound of are left out.
"""

from xml.etree import ElementTree

import numpy as np

from dose.kits.drumkit import DrumKit, safe_name
from dose.kits.hydrogen import add_instrument, add_texts
from dose.transcription.grid import apply_swing
from dose.transcription.hits import GM_NOTES
from dose.transcription.pattern import Pattern

TICKS_PER_BEAT = 48  # Hydrogen's MAX_NOTES is 192 for four beats
NAME = "Typical bar"
EFFECTS = 4  # slots that every song has


def song(kit: DrumKit, pattern: Pattern) -> bytes:
    """The whole .h2song; equal kits and patterns give equal bytes."""
    root = ElementTree.Element("song")
    add_texts(root, version="1.2.0", bpm=f"{pattern.tempo:.4f}", volume="0.8", metronomeVolume="0.5")
    add_texts(root, name=kit.name, author="DOSE", notes=kit.comment, license="undefined license")
    add_texts(root, loopEnabled="true", patternModeMode="true", mode="song", action_mode="0")
    add_texts(root, playbackTrackFilename="", playbackTrackEnabled="false", playbackTrackVolume="0")
    add_texts(root, pan_law_type="RATIO_STRAIGHT_POLYGONAL", pan_law_k_norm="1.33333")
    add_texts(root, humanize_time="0", humanize_velocity="0", swing_factor="0")
    component = ElementTree.SubElement(ElementTree.SubElement(root, "componentList"), "drumkitComponent")
    add_texts(component, id="0", name="Main", volume="1")
    instruments = ElementTree.SubElement(root, "instrumentList")
    for number, key in enumerate(kit.keys):
        add_instrument(instruments, number, key, kit, drumkit=safe_name(kit.name))
    _add_pattern(ElementTree.SubElement(root, "patternList"), kit, pattern)
    ElementTree.SubElement(root, "virtualPatternList")
    group = ElementTree.SubElement(ElementTree.SubElement(root, "patternSequence"), "group")
    add_texts(group, patternID=NAME)
    effects = ElementTree.SubElement(root, "ladspa")
    for _ in range(EFFECTS):
        effect = ElementTree.SubElement(effects, "fx")
        add_texts(effect, name="no plugin", filename="-", enabled="false", volume="0")
    add_texts(root, BPMTimeLine="", timeLineTag="")
    ElementTree.indent(root, " ")
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def _add_pattern(parent: ElementTree.Element, kit: DrumKit, pattern: Pattern) -> None:
    """Adds the pattern, with the elements in the order of Hydrogen's XML schema."""
    element = ElementTree.SubElement(parent, "pattern")
    add_texts(element, name=NAME, info=kit.comment, category="not_categorized")
    add_texts(element, size=str(pattern.beats_per_bar * TICKS_PER_BEAT), denominator="4")
    notes = ElementTree.SubElement(element, "noteList")
    numbers = {key.note: number for number, key in enumerate(kit.keys)}
    # Swing moves the notes. Hydrogen's own swing factor could be edited there, but it is of sixteenths only,
    # and Hydrogen 1.2 limits the delay to 2000 samples.
    steps = np.arange(pattern.steps) / pattern.steps_per_beat
    swung = apply_swing(steps, pattern.swing, pattern.swing_subdivision)
    ticks = np.rint(swung * TICKS_PER_BEAT).astype(int).tolist()
    hits = [
        (ticks[step], numbers[GM_NOTES[name]], velocity)
        for name, row in pattern.velocities.items()
        if GM_NOTES[name] in numbers
        for step, velocity in enumerate(row)
        if velocity
    ]
    for position, number, velocity in sorted(hits):
        note = ElementTree.SubElement(notes, "note")
        add_texts(note, position=str(position), leadlag="0", velocity=f"{velocity / 127:.4f}", pan="0")
        # Length -1 plays the whole sound.
        add_texts(note, pitch="0", key="C0", length="-1", instrument=str(number))
        add_texts(note, note_off="false", probability="1")
