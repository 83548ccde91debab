"""What a codec is: sound to a grid of whole numbers and back, with a name that travels with the numbers."""

import abc
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dose.errors import AudioError, IntegrityError

RATE, CODEBOOKS, ENTRIES, HOP = 44100, 9, 1024, 512
SILENCE_PEAK = 1e-4  # -80 dBFS: what lies below in a whole input counts as silence


class Codec(abc.ABC):
    """Audio [B, 1, N] at `rate` Hz to codes int64 [B, K, T], T = ceil(N / hop), and back to [B, 1, T * hop].

    The codes of a sound are the same alone, in any batch, and (for long sounds) in chunks. `id` is a hash of
    weights and configuration: codes may only meet codes and models of the same id, see `check_same`.
    """

    kind: str
    id: str
    rate: int = RATE
    K: int = CODEBOOKS
    N: int = ENTRIES
    hop: int = HOP

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.rate / self.hop

    @property
    def bitrate(self) -> float:
        """Bits per second when every code is written plainly."""
        return self.frame_rate * self.K * (self.N - 1).bit_length()

    def frames(self, samples: int) -> int:
        """T for N samples."""
        return -(-samples // self.hop)

    def encode(self, audio: Tensor, rate: int | None = None) -> Tensor:
        """[B, 1, N] float32 to int64 [B, K, T]. `rate`, where the caller knows it, is checked.

        Raises AudioError for another rate, another shape, nothing at all, or samples that are not finite.
        """
        self._check_audio(audio, rate)
        with torch.inference_mode():
            return self._encode(audio.float()).clone()

    def decode(self, codes: Tensor) -> Tensor:
        """int64 [B, K, T] to float32 [B, 1, T * hop]. Raises IntegrityError as `check_codes` does."""
        self.check_codes(codes)
        with torch.inference_mode():
            return self._decode(codes).clone()

    def embed(self, audio: Tensor, rate: int | None = None) -> Tensor:
        """[B, 1, N] to float32 [B, D, T]: what the codec sees of a sound before it quantises."""
        self._check_audio(audio, rate)
        with torch.inference_mode():
            return self._embed(audio.float()).clone()

    def check_codes(self, codes: Tensor) -> None:
        """Raises IntegrityError unless `codes` is an integer tensor [B, K, T] with every code in 0..N-1."""
        if codes.ndim != 3 or codes.shape[1] != self.K:
            raise IntegrityError(
                f"Codes of this codec have the shape [batch, {self.K}, frames], not {list(codes.shape)}."
            )
        if codes.dtype.is_floating_point or codes.dtype == torch.bool or codes.shape[0] * codes.shape[2] == 0:
            raise IntegrityError(f"Codes must be whole numbers and at least one frame, not {codes.dtype}.")
        low, high = int(codes.min()), int(codes.max())
        if low < 0 or high >= self.N:
            raise IntegrityError(
                f"Codes run from {low} to {high}; this codec knows 0 to {self.N - 1}, so these are another's."
            )

    def describe(self) -> dict[str, Any]:
        """What codec.json says of every codec."""
        return {
            "id": self.id, "kind": self.kind, "rate": self.rate, "K": self.K, "N": self.N, "hop": self.hop,
        }  # fmt: skip

    def _check_audio(self, audio: Tensor, rate: int | None) -> None:
        if rate is not None and rate != self.rate:
            raise AudioError(f"The codec works at {self.rate} Hz; resample the audio from {rate} Hz first.")
        if audio.ndim != 3 or audio.shape[1] != 1:
            raise AudioError(
                f"The codec takes mono audio of the shape [batch, 1, samples], not {list(audio.shape)}."
            )
        if audio.shape[0] == 0 or audio.shape[2] == 0:
            raise AudioError("The codec was given audio without a single sample.")
        if not torch.isfinite(audio).all():
            raise AudioError("The codec was given samples that are not finite numbers (NaN or infinity).")

    @abc.abstractmethod
    def save(self, folder: Path | str) -> None:
        """Writes codec.json and the weights into `folder`."""

    @abc.abstractmethod
    def _encode(self, audio: Tensor) -> Tensor: ...

    @abc.abstractmethod
    def _decode(self, codes: Tensor) -> Tensor: ...

    @abc.abstractmethod
    def _embed(self, audio: Tensor) -> Tensor: ...


def check_same(expected: str, found: str, what: str = "These codes") -> None:
    """Raises IntegrityError when what was made with the codec `found` is to be used with `expected`."""
    if expected != found:
        raise IntegrityError(
            f"{what} belong to codec {found}, but codec {expected} is in use; "
            "make them again with this codec or load the other one."
        )
