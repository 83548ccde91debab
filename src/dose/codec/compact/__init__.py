"""The compact drum codec: an envelope first, then the fine structure inside it.

Per frame of 512 samples (11.6 ms):

1. `frames.py` (one level up) folds the samples; their DCT-IV is the MDCT of the sound.
2. `attack.py` finds a hit that begins inside the frame and divides its rise out of the samples.
3. `envelope.py` measures the level of each band in dB: codebooks 0 and 1. Codebook 1 also names the rise.
4. `fine_structure.py` divides the coefficients below about 3.7 kHz by that envelope, and describes the noise
   above by its level in half bands and quarters of the frame: codebooks 2 to 8, a residual vector quantiser
   (`quantise.py`) in which loud bands weigh more.

The decoder runs the same steps backwards and fills the upper bands with noise of the described level. So the
first code alone gives the right loudness and colour, a change of the sound's level changes only the first
codes, and a language model that errs in the later codes still makes a sound of the right shape. Silence is
code 0 in every codebook and decodes to exact zeros.
"""

from dose.codec.compact.codec import CompactCodec, table_shapes
from dose.codec.compact.config import CompactConfig

__all__ = ["CompactCodec", "CompactConfig", "table_shapes"]
