"""Tempo, beats, metre and swing of a list of hits."""

from dose.transcription.rhythm.find import find_rhythm

__all__ = ["find_rhythm"]
