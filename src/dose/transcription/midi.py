"""A transcription as a standard MIDI file: drums on channel 10, General MIDI notes, 480 ticks per beat.

Every class of hit is written, also those of which a kit has no sound (claps, toms, cymbals). A file is as
long as the recording. Without hits it is valid and has no notes.
"""

import io
from collections.abc import Iterable, Mapping

from dose.transcription.grid import QuantisedHit, quantise
from dose.transcription.hits import GM_NOTES, Transcription
from dose.transcription.pattern import Pattern
from dose.transcription.tempo_map import STEP_TICKS, TICKS_PER_BEAT, TempoMap, fixed, follow

NOTE_TICKS = STEP_TICKS  # length of a note; drum sounds end by themselves
SIGNATURE = "Drums transcribed by DOSE"  # a text at the beginning, by which a kit's files are known again

Notes = Mapping[tuple[int, str], int]  # (tick, class) -> velocity


def played(transcription: Transcription) -> bytes:
    """The hits as they were played, within half a tick: 0.52 ms at 120 beats per minute, 1 ms at 62.5.

    Tick 0 is the beginning of the recording, the tempo follows its beats, and its first downbeat is on a bar
    line: see `dose.transcription.tempo_map`. Without a rhythm the tempo is 120 beats per minute, and its bars
    are not the song's.
    """
    tempo_map = _tempo_map(transcription)
    ticks = tempo_map.ticks_at([hit.seconds for hit in transcription.hits]).tolist()
    notes = [(tick, hit.drum, hit.velocity) for tick, hit in zip(ticks, transcription.hits, strict=True)]
    return _file(_loudest(notes), tempo_map, int(tempo_map.ticks_at([transcription.seconds])[0]))


def quantised(transcription: Transcription) -> bytes:
    """The hits on the straight sixteenth grid, with the tempo map and the bar lines of `played`.

    Both files play along with the recording; a sequencer that ignores tempo maps plays this one at any tempo.
    The song's swing is undone (`grid.quantise`) and not applied again: a sequencer's own swing does that. A
    hit that belongs to a step before the recording is moved to tick 0. Raises ValueError without a rhythm.
    """
    if transcription.rhythm is None:
        raise ValueError("without a rhythm there is no grid to quantise to")
    tempo_map = _tempo_map(transcription)
    steps = quantise(transcription.hits, transcription.rhythm)
    notes = [(_tick(step, tempo_map), step.hit.drum, step.hit.velocity) for step in steps]
    return _file(_loudest(notes), tempo_map, int(tempo_map.ticks_at([transcription.seconds])[0]))


def bar(pattern: Pattern) -> bytes:
    """A pattern as a file of exactly one bar, to be looped as a clip: its tempo, on the straight grid."""
    ticks_per_step = TICKS_PER_BEAT // pattern.steps_per_beat
    notes = {
        (step * ticks_per_step, drum): velocity
        for drum, velocities in pattern.velocities.items()
        for step, velocity in enumerate(velocities)
        if velocity
    }
    return _file(notes, fixed(pattern.tempo, pattern.beats_per_bar), pattern.steps * ticks_per_step)


def _tempo_map(transcription: Transcription) -> TempoMap:
    rhythm = transcription.rhythm
    return fixed() if rhythm is None else follow(rhythm, transcription.seconds)


def _tick(quantised: QuantisedHit, tempo_map: TempoMap) -> int:
    # The first downbeat is a multiple of a step's ticks from tick 0, so what is moved there is on the grid.
    return max(0, tempo_map.downbeat + quantised.step * STEP_TICKS)


def _loudest(notes: Iterable[tuple[int, str, int]]) -> Notes:
    """(tick, class, velocity) of hits, with the louder one where two share tick and class."""
    loudest: dict[tuple[int, str], int] = {}
    for tick, drum, velocity in notes:
        loudest[tick, drum] = max(velocity, loudest.get((tick, drum), 0))
    return loudest


def _file(notes: Notes, tempo_map: TempoMap, end: int) -> bytes:
    """A file of `notes` that ends at tick `end`, or with its last note."""
    import miditoolkit

    midi = miditoolkit.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    midi.tempo_changes = [
        miditoolkit.TempoChange(60e6 / microseconds, tick)
        for tick, microseconds in zip(tempo_map.ticks, tempo_map.microseconds, strict=True)
    ]
    midi.time_signature_changes = [
        miditoolkit.TimeSignature(s.numerator, s.denominator, s.tick) for s in tempo_map.signatures
    ]
    drums = miditoolkit.Instrument(program=0, is_drum=True, name="Drums")
    next_of: dict[str, int] = {}  # the tick of a class's following note, at which a note ends at the latest
    for (tick, drum), velocity in sorted(notes.items(), reverse=True):
        stop = min(tick + NOTE_TICKS, next_of.get(drum, tick + NOTE_TICKS))
        drums.notes.append(miditoolkit.Note(velocity, GM_NOTES[drum], tick, stop))
        next_of[drum] = tick
    drums.notes.reverse()
    midi.instruments = [drums]
    buffer = io.BytesIO()
    midi.dump(file=buffer)
    return _signed(buffer.getvalue(), end)


def _signed(body: bytes, end: int) -> bytes:
    """The file with SIGNATURE at its beginning and all tracks ending at tick `end`, or with their last event.

    miditoolkit writes neither texts nor the end of a track, by which sequencers know the length of a clip.
    """
    import mido

    midi = mido.MidiFile(file=io.BytesIO(body))
    midi.tracks[0].insert(0, mido.MetaMessage("text", text=SIGNATURE))
    for track in midi.tracks:
        track.pop()  # miditoolkit's own end, a tick after the last event
        rest = max(0, end - sum(message.time for message in track))
        track.append(mido.MetaMessage("end_of_track", time=rest))
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()
