"""Speaks words with eSpeak NG, as a process of its own.

`python -m dose.sources.synth.speaker VARIANT WORD...`

The library has hidden state that changes with every utterance, so a repeated word sounds different; a fresh
process with the same words in the same order gives the same samples. Standard output gets the sample rate in
Hz and then, for each word, a count and that many samples: little-endian, int32 and int16.
"""

import ctypes
import struct
import sys
from typing import Any

RETRIEVE, UTF8 = 1, 1  # espeak_ng's audio-to-callback mode and text encoding


def main() -> None:
    variant, *words = sys.argv[1:]
    out = sys.stdout.buffer
    speaker = Speaker()
    out.write(struct.pack("<i", speaker.rate))
    for word in words:
        samples = speaker.synthesise(word, variant)
        out.write(struct.pack("<i", len(samples) // 2) + samples)


class Speaker:
    """eSpeak NG through ctypes. One per process: the library keeps global state."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = self._library.espeak_Initialize(
            RETRIEVE, 0, str(espeakng_loader.get_data_path()).encode(), 0
        )
        if self.rate <= 0:
            sys.exit("eSpeak NG finds no voice data")
        self._spoken = bytearray()
        # Callback (int16 samples, their count, events); it returns 0 to go on.
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._callback = prototype(self._collect)  # referenced here, because the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: int | None, count: int, events: Any) -> int:
        if samples and count > 0:
            self._spoken += ctypes.string_at(samples, 2 * count)
        return 0

    def synthesise(self, word: str, variant: str) -> bytes:
        """The word as int16 samples at `rate`, little-endian bytes."""
        self._spoken = bytearray()
        self._library.espeak_SetVoiceByName(f"en-us+{variant}".encode())
        text = word.encode() + b"\0"
        # Position 0 in characters to the end of the text; blocks until Synchronize returns.
        self._library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        return bytes(self._spoken)


if __name__ == "__main__":
    main()
