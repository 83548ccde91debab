"""The loss of a training batch, in the two phases of a run, and the same losses in validation."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from dose.model.condition_encoder import spectrogram_loss
from dose.model.loss import Losses, TrainingLoss, losses, onset_mask, training_loss
from dose.model.transformer import DoseModel
from dose.tokens import layout
from dose.tokens.band_energies import compress_power
from dose.train.augment import augment_eq
from dose.train.config import FitConfig
from dose.train.data import Batch, Pairs

# (prompts, tokens or None) to the language model's loss or None, and the expected spectrogram or None.
Forward = Callable[[Tensor, Tensor | None], tuple[TrainingLoss | None, Tensor | None]]


class LossModule(nn.Module):
    """A model whose call gives its training loss and the expected spectrogram: the module that DDP wraps."""

    def __init__(self, model: DoseModel, mask: Tensor, onset_weight: float, compiled: bool) -> None:
        super().__init__()
        self.model, self.mask, self.onset_weight = model, mask, onset_weight
        self.hidden = torch.compile(model.hidden) if compiled else model.hidden

    def forward(self, prompt: Tensor, tokens: Tensor | None) -> tuple[TrainingLoss | None, Tensor | None]:
        """Without tokens [B, S, K] only the condition encoder runs: the expected spectrogram alone."""
        if tokens is None:
            return None, self.model.encode_prompt(prompt).spectrogram
        hidden, spectrogram = self.hidden(prompt, tokens[:, :-1])
        return training_loss(hidden, self.model.head, tokens, self.mask, self.onset_weight), spectrogram


class BatchLoss:
    """Losses of a batch: moves it to the model's device and runs the model in the run's number format."""

    def __init__(self, config: FitConfig, model: DoseModel, number_format: str) -> None:
        self.config, self.model = config, model
        self.device = model.head.weight.device
        self.bf16 = number_format == "bf16"
        m = config.model
        self.mask = onset_mask(m.steps, m.codebooks, config.onset_region, m.pattern).to(self.device)

    def module(self) -> LossModule:
        return LossModule(self.model, self.mask, self.config.onset_weight, self.config.compile)

    def lm_loss(self, forward: Forward, batch: Batch) -> TrainingLoss:
        """Cross entropies of the one-shot's tokens; in the total also the expected spectrogram's loss."""
        prompt, tokens = self._inputs(batch)
        with self._autocast():
            loss, spectrogram = forward(prompt, tokens)
        assert loss is not None  # there were tokens
        if spectrogram is None or batch.spectrogram is None or not self.config.spectrogram_weight:
            return loss
        reference = compress_power(batch.spectrogram.to(self.device))
        added = self.config.spectrogram_weight * spectrogram_loss(spectrogram, reference)
        return loss._replace(total=loss.total + added)

    def encoder_loss(self, forward: Forward, batch: Batch) -> TrainingLoss:
        """The weighted loss of the expected spectrogram alone, on EQ-augmented pairs; no cross entropies."""
        assert batch.spectrogram is not None  # prompts of band energies have one
        prompt, reference = augment_eq(batch.prompt.to(self.device), batch.spectrogram.to(self.device))
        with self._autocast():
            _, spectrogram = forward(prompt, None)
        assert spectrogram is not None
        total = self.config.spectrogram_weight * spectrogram_loss(spectrogram, compress_power(reference))
        return TrainingLoss(total, torch.zeros_like(total), torch.zeros_like(total))

    @torch.no_grad()
    def validate(self, pairs: Pairs) -> dict[str, float]:
        """Losses on evenly spaced pairs, with their own prompts and with each other's.

        The conditioning gap is the difference: the loss under another pair's prompt minus the loss under the
        pair's own. It is 0 for a model that ignores the prompt.
        """
        self.model.eval()
        n = min(self.config.evaluate_items, len(pairs))
        items = np.linspace(0, len(pairs), n, endpoint=False).astype(np.int64)
        own, own_spectrogram = self._mean(pairs, items, items)
        other, _ = self._mean(pairs, items, np.roll(items, 1))
        metrics = {
            "val/loss": float(own.full),
            "val/onset_loss": float(own.onset),
            "val/conditioning_gap": float(other.full - own.full),
            "val/onset_conditioning_gap": float(other.onset - own.onset),
            "val/first_codebook_gap": float(other.per_codebook[0] - own.per_codebook[0]),
            "val/accuracy": float(own.accuracy.mean()),
        }
        if own_spectrogram is not None:
            metrics["val/spectrogram_loss"] = own_spectrogram
        for k in range(self.config.model.codebooks):
            metrics[f"val/loss_codebook_{k}"] = float(own.per_codebook[k])
            metrics[f"val/accuracy_codebook_{k}"] = float(own.accuracy[k])
        return metrics

    def _mean(self, pairs: Pairs, items: np.ndarray, prompts: np.ndarray) -> tuple[Losses, float | None]:
        """Means over pairs `items`, each with the prompt of pair `prompts`; of the spectrogram's loss too."""
        size = self.config.batch
        parts = [
            (len(items[i : i + size]), *self._losses(pairs.batch(items[i : i + size], prompts[i : i + size])))
            for i in range(0, len(items), size)
        ]
        spectrogram = [n * float(loss) for n, _, loss in parts if loss is not None]
        means = {
            f.name: sum(n * getattr(part, f.name) for n, part, _ in parts) / len(items)
            for f in dataclasses.fields(Losses)
        }
        return Losses(**means), sum(spectrogram) / len(items) if spectrogram else None

    def _losses(self, batch: Batch) -> tuple[Losses, Tensor | None]:
        prompt, tokens = self._inputs(batch)
        with self._autocast():
            hidden, spectrogram = self.model.hidden(prompt, tokens[:, :-1])
            logits = self.model.logits(hidden)
        found = losses(logits, tokens, self.mask, self.config.onset_weight)
        if spectrogram is None or batch.spectrogram is None:
            return found, None
        return found, spectrogram_loss(spectrogram, compress_power(batch.spectrogram.to(self.device)))

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch's prompts and its one-shots' tokens [B, S, K], on the device."""
        prompt = batch.prompt.to(self.device, non_blocking=True)
        shot = batch.shot.to(self.device, non_blocking=True)
        return prompt, layout.one_shot_steps(shot, self.config.model.pattern)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)
