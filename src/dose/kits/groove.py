"""The song's groove beside a kit's sounds: MIDI files, and the typical bar for Hydrogen and Live."""

from collections.abc import Sequence

from dose.kits import hydrogen_song
from dose.kits.drumkit import DrumKit, safe_name
from dose.transcription import midi
from dose.transcription.pattern import typical_bar

QUANTISED, BAR = "-quantised", "-bar"  # what follows the kit's name in the names of its further MIDI files


def contents(kit: DrumKit, formats: Sequence[str]) -> dict[str, bytes]:
    """File name -> bytes of what a kit's transcription gives; nothing without a transcription or hits.

    NAME.mid as played, NAME-quantised.mid; for `hydrogen` the typical bar as NAME.h2song; for `ableton` as
    NAME-bar.mid, because Live's own clip format (.alc) is published nowhere and no program here could check a
    file of it, while Live takes a MIDI file for a clip. Without a rhythm there is only the first.
    """
    transcription, name = kit.transcription, safe_name(kit.name)
    if transcription is None or not transcription.hits:
        return {}
    files = {f"{name}.mid": midi.played(transcription)}
    if transcription.rhythm is not None:
        files[f"{name}{QUANTISED}.mid"] = midi.quantised(transcription)
    pattern = typical_bar(transcription)
    if pattern is not None and "hydrogen" in formats:
        files[f"{name}.h2song"] = hydrogen_song.song(kit, pattern)
    if pattern is not None and "ableton" in formats:
        files[f"{name}{BAR}.mid"] = midi.bar(pattern)
    return files
