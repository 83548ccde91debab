"""One drum's language model, ready to generate: mix to prompt, prompt to one-shots."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dose import audio, compute
from dose.audio import RATE
from dose.bundle import Bundle
from dose.codec import Codec
from dose.codec.codec import check_same
from dose.config import parse
from dose.drums import SHOT_SECONDS
from dose.model import checkpoint
from dose.model.decode import generate
from dose.model.engine import DecodingEngine
from dose.model.sampling import Sampling
from dose.tokens import layout
from dose.tokens.prompt import PromptConfig, prompt_codes
from dose.transcription.transcribe import Activations

SHOT = int(SHOT_SECONDS * RATE)  # samples


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumModel:
    """A decoding engine with the codec and the prompt that it was trained with."""

    name: str  # of the drum
    codec: Codec
    engine: DecodingEngine
    prompt_config: PromptConfig

    def prompt(self, mono: np.ndarray, found: Activations) -> Tensor:
        """The prompt of a segment [N] with its activations: codes or band energies, int64 [1, K, P]."""
        codes = prompt_codes(self.codec, mono, self.name, self.prompt_config, found)
        return torch.as_tensor(codes, dtype=torch.long)[None]

    def expected(self, prompts: Tensor) -> np.ndarray | None:
        """Expected band-energy spectrograms of the one-shots, [B, BANDS, frames], as `compress_power` gives.

        None for a model without a condition encoder.
        """
        # The expectation comes from the prompt alone, without generating.
        with torch.inference_mode():
            expected = self.engine.model.encode_prompt(prompts.to(self.engine.device)).spectrogram
        return None if expected is None else expected.cpu().numpy()

    def sample(self, prompts: Tensor, sampling: Sampling | Sequence[Sampling]) -> np.ndarray:
        """Prompts [B, K, P] to raw one-shots float32 [B, SHOT], as one batch."""
        tokens = generate(self.engine, prompts, sampling)
        return self._decode([layout.one_shot_codes(one, self.engine.config.pattern) for one in tokens])

    def _decode(self, codes: Sequence[Tensor]) -> np.ndarray:
        """Codes [K, L] of any lengths to audio [B, SHOT]; an empty one is silence."""
        out = np.zeros((len(codes), SHOT), np.float32)
        lengths = [int(one.shape[1]) for one in codes]
        # Those of one length go through the codec as one batch.
        for length in sorted(set(lengths) - {0}):
            same = [i for i, n in enumerate(lengths) if n == length]
            decoded = self.codec.decode(torch.stack([codes[i] for i in same]))[:, 0].cpu().numpy()
            out[same] = audio.fit_length(decoded, SHOT)
        return out


def load_drum_model(
    bundle: Bundle, codec: Codec, drum: str, device: str, precision: compute.DecodingPrecision, batch: int
) -> DrumModel:
    """Loads one drum's checkpoint of a bundle; `batch` is the usual number of samples per call.

    Raises as `checkpoint.load` does, and IntegrityError for a model of another codec.
    """
    loaded = checkpoint.load(bundle.checkpoint(drum), device)
    check_same(codec.id, loaded.meta["codec_id"], f"The {drum} model's codes")
    where = f"{bundle.checkpoint(drum) / 'model.json'}: prompt"
    return DrumModel(
        name=drum,
        codec=codec,
        engine=DecodingEngine(loaded.model, precision, batch=batch),
        prompt_config=parse(PromptConfig, loaded.meta["prompt"], where, announce=False),
    )
