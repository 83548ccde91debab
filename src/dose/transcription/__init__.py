"""Drum transcription: a network and how it is trained, the hits of a recording, their rhythm, MIDI."""
