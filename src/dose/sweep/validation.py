"""Listening to a model in training: generated one-shots against true ones, scored and kept to be heard."""

from pathlib import Path

import numpy as np
import torch

from dose import audio
from dose.codec import load_codec
from dose.drums import SHOT_SECONDS
from dose.metrics.embeddings import CodecEmbedder
from dose.metrics.fad import MIN_ITEMS, package_frechet_distance
from dose.metrics.mss import magnitudes, mss_and_log
from dose.metrics.one_shots import prepare
from dose.model import decode
from dose.model.sampling import Sampling
from dose.model.transformer import DoseModel
from dose.sweep.config import EXAMPLES
from dose.tokens import layout
from dose.train.data import FitData

FREELY = Sampling(temperature=1.0)


class GenerationValidator:
    """`evaluate` for `fit`: generates validation one-shots and gives val/mss, val/mss_log and val/fad_codec.

    They are drawn from the model's whole distribution, with the same seeds each time. Greedy ones say little
    of a model in training: hats stick in one code, and their distance grows while the loss falls.
    The references are the codec's own reconstructions of the true one-shots, so that a score says what the
    model lost and not what the codec did. The metrics are computed as by the stage evaluate; the distance
    between sets (val/fad_codec) is left out where there are fewer than MIN_ITEMS one-shots. Examples go to
    `out/examples/<step>/`: prompt, target and generated as WAV, with one spectrogram picture each.
    """

    def __init__(self, data: FitData, codec: Path | str, out: Path, *, items: int, examples: int) -> None:
        self.codec = load_codec(codec)
        self.out, self.examples = out, examples
        chosen = np.linspace(0, data.val.each, min(items, data.val.each), endpoint=False).astype(np.int64)
        batch = data.val.take(chosen)
        self.prompts = batch.prompt
        self.kind = data.prompt["kind"]
        self.excerpts = 1 if self.kind == "mix" else int(data.prompt["hits"])
        self.targets = self._sounds(list(batch.shot))
        self.embedder = CodecEmbedder(self.codec)
        self.target_vectors = _vectors(self.embedder, self.targets)

    def _sounds(self, codes: list[torch.Tensor]) -> np.ndarray:
        """Codes [K, L] each to prepared one-shots [B, N]; no codes are silence."""
        n = int(SHOT_SECONDS * audio.RATE)
        sounds = [
            self.codec.decode(c[None])[0, 0].numpy() if c.shape[1] else np.zeros(n, np.float32) for c in codes
        ]
        return np.stack([prepare(s) for s in sounds])

    def __call__(self, model: DoseModel, step: int) -> dict[str, float]:
        rows = decode.generate(model, self.prompts, FREELY)
        made = self._sounds([layout.one_shot_codes(r, model.config.pattern) for r in rows])
        scores = mss_and_log(made, self.targets)
        for i in range(self.examples):
            self._keep(self.out / EXAMPLES / f"{step:07d}", i, made[i])
        means = {f"val/{name}": float(np.mean(values)) for name, values in scores.items()}
        if len(made) < MIN_ITEMS:
            return means
        return means | {
            "val/fad_codec": package_frechet_distance(_vectors(self.embedder, made), self.target_vectors)
        }

    def _keep(self, folder: Path, i: int, made: np.ndarray) -> None:
        sounds = {"target": self.targets[i], "generated": made}
        if self.kind != "levels":  # those cannot be heard again
            parts = self.prompts[i].split(self.prompts.shape[-1] // self.excerpts, dim=-1)
            sounds["prompt"] = np.concatenate([self.codec.decode(p[None])[0, 0].numpy() for p in parts])
        for name, sound in sounds.items():
            audio.write(folder / f"{i}-{name}.wav", np.clip(sound, -1, 1))
        draw_spectrograms(folder / f"{i}.png", sounds)


def _vectors(embedder: CodecEmbedder, shots: np.ndarray) -> np.ndarray:
    """[B, N] to [B * windows, D]: every window of every one-shot is one of the set."""
    vectors = embedder.embed(shots)
    return vectors.reshape(-1, vectors.shape[-1])


def draw_spectrograms(path: Path, sounds: dict[str, np.ndarray]) -> None:
    """One panel per sound: time to the right, 0 to 22 kHz upwards, 80 dB of range."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(sounds), 2.4), layout="constrained")
    for axes, (name, sound) in zip(figure.subplots(1, len(sounds)), sounds.items(), strict=True):
        spectrum = magnitudes(torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None], 1024)[0]
        level = audio.db(spectrum.numpy() / max(float(spectrum.max()), 1e-9))
        extent = (0, len(sound) / audio.RATE, 0, audio.RATE / 2000)
        axes.imshow(level, origin="lower", aspect="auto", vmin=-80, vmax=0, cmap="magma", extent=extent)
        axes.set(title=name, xlabel="s", ylabel="kHz")
    figure.savefig(path, dpi=80)
