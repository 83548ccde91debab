"""The codec's own latents as an embedding of one-shots: for scores, and for a look at a model in training."""

import numpy as np

WINDOWS = 8  # of a shot: 0.125 s each


class CodecEmbedder:
    """The codec's latents before quantisation: [B, 44100] -> [B, 8, D]."""

    name = "codec"

    def __init__(self, codec):
        self.codec = codec
        self.id = f"{codec.id}-mean{WINDOWS}"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            latents = self.codec.embed(torch.from_numpy(shots)[:, None]).float().cpu()  # [B, D, T]
        windows = [part.mean(dim=-1) for part in latents.tensor_split(WINDOWS, dim=-1)]
        return torch.stack(windows, dim=1).numpy()
