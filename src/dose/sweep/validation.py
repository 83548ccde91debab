"""Validation by generation: one-shots of a model in training, scored against the reference and stored."""

from pathlib import Path

import numpy as np
import torch

from dose import audio
from dose.codec import load_codec
from dose.drums import SHOT_SECONDS
from dose.metrics.embeddings import CodecEmbedder
from dose.metrics.fad import MIN_ITEMS, flatten_windows, package_frechet_distance
from dose.metrics.mss import magnitudes, mss_and_log
from dose.metrics.one_shots import prepare
from dose.model import decode
from dose.model.sampling import Sampling
from dose.model.transformer import DoseModel
from dose.sweep.config import EXAMPLES
from dose.tokens import layout
from dose.train.data import FitData

UNRESTRICTED = Sampling(temperature=1.0)  # the model's whole distribution


class GenerationValidator:
    """`evaluate` for `fit`: generates validation one-shots; gives val/mss, val/mss_log and val/fad_codec.

    val/mss_se is the standard error of val/mss over the one-shots.
    Tokens are sampled from the model's whole distribution, with the same seeds each time. Greedy decoding is
    no measure of a model in training: it repeats one token on noise-like sounds, so that the distance of
    hi-hats grows while the loss falls. The references are the codec's reconstructions of the true one-shots,
    so that a score measures the model and not the codec. The metrics are computed as by the stage evaluate;
    the distance between sets (val/fad_codec) needs at least MIN_ITEMS one-shots. Examples are written to
    `out/examples/<step>/`: prompt, target and generated one-shot as WAV, with one spectrogram plot each.
    """

    def __init__(self, data: FitData, codec: Path | str, out: Path, *, items: int, examples: int) -> None:
        self.codec = load_codec(codec)
        self.out, self.examples = out, examples
        chosen = np.linspace(0, len(data.val), min(items, len(data.val)), endpoint=False).astype(np.int64)
        # Evenly spaced, so that the same items are compared throughout a sweep.
        batch = data.val.batch(chosen)
        self.prompts = batch.prompt
        self.kind = data.prompt["kind"]
        self.segments = 1 if self.kind == "mix" else int(data.prompt["hits"])
        self.targets = self._sounds(list(batch.shot))
        self.embedder = CodecEmbedder(self.codec)
        self.target_vectors = flatten_windows(self.embedder.embed(self.targets))

    def _sounds(self, codes: list[torch.Tensor]) -> np.ndarray:
        """Codes [K, L] each to one-shots [B, N] prepared for the metrics; L = 0 is silence."""
        n = int(SHOT_SECONDS * audio.RATE)
        sounds = [
            self.codec.decode(c[None])[0, 0].numpy() if c.shape[1] else np.zeros(n, np.float32) for c in codes
        ]
        return np.stack([prepare(s) for s in sounds])

    def __call__(self, model: DoseModel, step: int) -> dict[str, float]:
        tokens = decode.generate(model, self.prompts, UNRESTRICTED)  # [B, S, K]
        generated = self._sounds([layout.one_shot_codes(t, model.config.pattern) for t in tokens])
        scores = mss_and_log(generated, self.targets)
        for i in range(self.examples):
            self._write_example(self.out / EXAMPLES / f"{step:07d}", i, generated[i])
        means = {f"val/{name}": float(np.mean(values)) for name, values in scores.items()}
        if len(generated) > 1:  # the standard error of the mean, which tells how far scores can rank trials
            means["val/mss_se"] = float(np.std(scores["mss"], ddof=1) / len(generated) ** 0.5)
        if len(generated) < MIN_ITEMS:
            return means
        vectors = flatten_windows(self.embedder.embed(generated))
        return means | {"val/fad_codec": package_frechet_distance(vectors, self.target_vectors)}

    def _write_example(self, folder: Path, i: int, generated: np.ndarray) -> None:
        sounds = {"target": self.targets[i], "generated": generated}
        if self.kind != "band_energies":  # which cannot be decoded to audio
            parts = self.prompts[i].split(self.prompts.shape[-1] // self.segments, dim=-1)
            sounds["prompt"] = np.concatenate([self.codec.decode(p[None])[0, 0].numpy() for p in parts])
        for name, sound in sounds.items():
            audio.write(folder / f"{i}-{name}.wav", np.clip(sound, -1, 1))
        draw_spectrograms(folder / f"{i}.png", sounds)


def draw_spectrograms(path: Path, sounds: dict[str, np.ndarray]) -> None:
    """One panel per sound: time in seconds, 0 to 22 kHz, a range of 80 dB."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(sounds), 2.4), layout="constrained")
    for axes, (name, sound) in zip(figure.subplots(1, len(sounds)), sounds.items(), strict=True):
        spectrum = magnitudes(torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None], 1024)[0]
        level = audio.db(spectrum.numpy() / max(float(spectrum.max()), 1e-9))
        extent = (0, len(sound) / audio.RATE, 0, audio.RATE / 2000)
        axes.imshow(level, origin="lower", aspect="auto", vmin=-80, vmax=0, cmap="magma", extent=extent)
        axes.set(title=name, xlabel="s", ylabel="kHz")
    figure.savefig(path, dpi=80)
