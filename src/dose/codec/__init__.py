"""Sound to tokens and back: the compact drum codec that ships with DOSE, and descript-audio-codec."""

from dose.codec.codec import Codec, check_same
from dose.codec.store import bundled_codec, load_codec

__all__ = ["Codec", "bundled_codec", "check_same", "load_codec"]
