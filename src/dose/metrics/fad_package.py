"""frechet-audio-distance, imported without the dependencies that it names but that are not used here.

At its top the package imports laion_clap (its CLAP path) and, through encodec, torchaudio (resampling);
neither is installed beside the torch in use. Empty modules of those names stand in during the import and are
taken away again.
"""

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def absent(*names: str) -> Iterator[None]:
    """Empty modules in the place of those of `names` that are not installed, while the block runs."""
    stood_in = [n for n in names if n not in sys.modules and importlib.util.find_spec(n) is None]
    for name in stood_in:
        sys.modules[name] = types.ModuleType(name)
    try:
        yield
    finally:
        for name in stood_in:
            del sys.modules[name]


with absent("laion_clap", "torchaudio"):
    from frechet_audio_distance import FrechetAudioDistance

__all__ = ["FrechetAudioDistance", "absent"]
