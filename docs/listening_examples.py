"""Makes the README's listening examples, docs/sounds/*.mp3, from bundled loops with the shipped models.

    python docs/listening_examples.py

Per loop two files: the loop as it comes with the package (CC0), and what was extracted from it: the kick, the
snare and the hi-hat one after the other, then the kit playing the loop's groove.
"""

import argparse
from pathlib import Path

import numpy as np

from dose import Extractor, audio, bundle, files
from dose.extract.result import Kit
from dose.extract.resynthesis import resynthesis

ROOT = Path(__file__).parent.parent
SOUNDS = Path(__file__).parent / "sounds"
LOOPS = ROOT / "src/dose/sources/demo"
# All three drums are detected in both.
NAMES = ("garzul", "compus")
SECONDS = 8.0  # of a loop
PAUSE = 0.3  # seconds between two one-shots


def demonstration(kit: Kit, mono: np.ndarray) -> np.ndarray:
    """The one-shots in turn, and the groove of the loop `mono` [N] played by them."""
    shots = {drum: found[0].audio for drum, found in kit.hits.items() if kit.detected(drum)}
    hits = kit.transcription.hits if kit.transcription else ()
    pause = np.zeros(int(PAUSE * audio.RATE), np.float32)
    parts = [part for shot in shots.values() for part in (shot, pause)]
    groove = resynthesis(shots, hits, mono)
    # The groove has the loop's own level; a loop may be far from full scale.
    return np.concatenate([*parts, groove * np.float32(0.9 / max(audio.peak(groove), 1e-6))])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=SOUNDS, metavar="DIR", help="default: docs/sounds")
    out = parser.parse_args().out
    # The shipped models, whatever this machine's registry has: everyone gets the same files.
    extractor = Extractor(bundle.SHIPPED)
    for name in NAMES:
        mono = audio.read(LOOPS / f"loop_{name}.flac", max_seconds=SECONDS)
        kit = extractor.extract(mono, audio.RATE)
        for what, sound in (("loop", mono), ("kit", demonstration(kit, mono))):
            path = out / f"{name}-{what}.mp3"
            with files.atomic(path) as beside:
                beside.write_bytes(audio.encoded(sound, "MP3"))
            print(f"{path}: {sound.size / audio.RATE:.1f} s, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
