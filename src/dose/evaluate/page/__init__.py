"""Listening pages: single HTML files with audio, waveforms and spectrograms inside, which need no network."""
