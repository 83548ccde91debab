"""Imports frechet-audio-distance without two of its dependencies that are not used here.

The package imports laion_clap for its own CLAP path and, through encodec, torchaudio for resampling. Neither
is installed beside the torch in use. Empty modules take their place during the import only.
"""

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def stub_modules(*names: str) -> Iterator[None]:
    """Puts an empty module in place of each of `names` that is not installed, until the block ends."""
    # An installed module is used as it is.
    stubs = [n for n in names if n not in sys.modules and importlib.util.find_spec(n) is None]
    sys.modules.update({name: types.ModuleType(name) for name in stubs})
    try:
        yield
    finally:
        for name in stubs:
            del sys.modules[name]


with stub_modules("laion_clap", "torchaudio"):
    from frechet_audio_distance import FrechetAudioDistance

__all__ = ["FrechetAudioDistance", "stub_modules"]
