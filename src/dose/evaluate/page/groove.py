"""The groove of a recording on a listening page: a line of facts, and its typical bar as a small drawing."""

from dose.transcription.hits import Transcription
from dose.transcription.pattern import Pattern, typical_bar


def facts(transcription: Transcription) -> str:
    """Tempo, metre, swing and number of hits, as one line."""
    count, rhythm = f"{len(transcription.hits)} hits", transcription.rhythm
    if rhythm is None:
        return f"no steady beat, {count}"
    swing = f", swing {rhythm.swing:.0%}" if round(rhythm.swing, 2) else ""
    return f"{rhythm.tempo:.1f} BPM, {rhythm.beats_per_bar}/4{swing}, {count}"


def drawing(transcription: Transcription) -> str:
    """The typical bar as an <svg>: a row per class that it has, a square per step; empty without one."""
    pattern = typical_bar(transcription)
    return "" if pattern is None else _svg(pattern)


def _svg(pattern: Pattern) -> str:
    rows = {name: row for name, row in pattern.velocities.items() if any(row)}
    left, size = 7, 1  # columns of the names; a step's side
    marks = []
    for y, (name, velocities) in enumerate(rows.items()):
        marks.append(f'<text x="0" y="{y + 0.8}">{name.replace("_", " ")}</text>')
        for step, velocity in enumerate(velocities):
            # Every step has a faint square; a hit's is the more opaque the louder it is.
            opacity = 0.3 + 0.7 * velocity / 127 if velocity else 0.08
            marks.append(
                f'<rect x="{left + step * size + 0.05}" y="{y + 0.05}" width="0.9" height="0.9" '
                f'opacity="{opacity:.2f}"/>'
            )
    label = f"typical bar, {pattern.steps} steps: {', '.join(name.replace('_', ' ') for name in rows)}"
    return (
        f'<svg class="groove" role="img" aria-label="{label}" '
        f'viewBox="0 0 {left + pattern.steps} {len(rows)}">{"".join(marks)}</svg>'
    )
