"""Embeddings of one-shots for the distances between sets (FAD, KAD).

An embedder maps one-shots [B, 44100] to float32 [B, W, D]: W windows of D values for each. Its `id` names its
weights, so that a cached embedding cannot outlive them. VGGish stands in `vggish.py`; the pretrained networks
are loaded by `dose.evaluate.embeddings`.
"""

from typing import Any, Protocol

import numpy as np

from dose import audio

# Windows of a one-shot, 0.125 s each; a default without a study.
WINDOWS = 8


class Embedder(Protocol):
    name: str
    id: str

    def embed(self, shots: np.ndarray) -> np.ndarray: ...


class CodecEmbedder:
    """The codec's latents before quantisation, averaged over each eighth: [B, 44100] -> [B, 8, D]."""

    name = "codec"

    def __init__(self, codec: Any) -> None:  # a `dose.codec.Codec`, which the metrics must not import
        self.codec = codec
        self.id = f"{codec.id}-mean{WINDOWS}"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            latents = self.codec.embed(torch.from_numpy(shots)[:, None]).float().cpu()  # [B, D, T]
        return _window_means(latents)


class ClapEmbedder:
    """CLAP's audio projection at its own rate (48 kHz), through transformers: [B, 44100] -> [B, 1, 512].

    Source: Wu et al., ICASSP 2023.
    """

    name = "clap"

    def __init__(self, model: Any, feature_extractor: Any, digest: str) -> None:
        self.model, self.feature_extractor, self.id = model.eval(), feature_extractor, f"clap-{digest}"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        import torch

        rate = self.feature_extractor.sampling_rate
        # The network's own rate; its feature extractor pads or repeats to its input length.
        sounds = [audio.resample(shot, audio.RATE, rate) for shot in shots]
        inputs = self.feature_extractor(sounds, sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            out = self.model.get_audio_features(**inputs)
        # Releases of transformers differ: a tensor, or an output object that holds it.
        pooled: torch.Tensor = out if isinstance(out, torch.Tensor) else out.pooler_output
        return pooled.float().numpy()[:, None]


class EncodecEmbedder:
    """EnCodec's encoder at 24 kHz, averaged over each eighth: [B, 44100] -> [B, 8, 128].

    Source: Defossez et al., TMLR 2023.
    """

    name = "encodec"

    def __init__(self, model: Any, digest: str) -> None:
        self.model, self.id = model.eval(), f"encodec-{digest}-mean{WINDOWS}"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        import torch

        sounds = np.stack([audio.resample(shot, audio.RATE, self.model.sample_rate) for shot in shots])
        with torch.inference_mode():
            latents = self.model.encoder(torch.from_numpy(sounds)[:, None])  # [B, 128, T]
        return _window_means(latents)


def _window_means(latents: Any) -> np.ndarray:
    """Tensor [B, D, T] -> [B, WINDOWS, D]: the mean over each of WINDOWS parts of the time axis."""
    import torch

    windows = [part.mean(dim=-1) for part in latents.tensor_split(WINDOWS, dim=-1)]
    return torch.stack(windows, dim=1).numpy()
