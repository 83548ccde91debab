"""The interface of every codec: sound to codes and back, with an id that is stored beside the codes."""

import abc
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dose.errors import AudioError, IntegrityError

# As descript-audio-codec at 44.1 kHz (Kumar et al., 2023): 9 codebooks of size 1024, 86.1 frames a second.
RATE, CODEBOOKS, CODEBOOK_SIZE, HOP = 44100, 9, 1024, 512
SILENCE_PEAK = 1e-4  # -80 dBFS: a frame whose samples all lie below counts as silence


class Codec(abc.ABC):
    """Audio [B, 1, samples] at `rate` Hz to codes int64 [B, K, T] and back to [B, 1, T * hop].

    K codebooks of size N; T = ceil(samples / hop) frames. The codes of a sound are the same alone, in any
    batch, and (for long sounds) in chunks. `id` is a hash of weights and configuration: codes can only be
    used with codes and models of the same id, see `check_same`.
    """

    kind: str
    id: str
    rate: int = RATE
    K: int = CODEBOOKS
    N: int = CODEBOOK_SIZE
    hop: int = HOP

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.rate / self.hop

    @property
    def bitrate(self) -> float:
        """Bits per second without entropy coding."""
        return self.frame_rate * self.K * (self.N - 1).bit_length()

    def frames(self, samples: int) -> int:
        """T, the frames of `samples` samples."""
        return -(-samples // self.hop)

    def encode(self, audio: Tensor, rate: int | None = None) -> Tensor:
        """[B, 1, samples] float32 to int64 [B, K, T]. `rate`, if given, is checked.

        Raises AudioError for another rate, another shape, no samples, or samples that are not finite.
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
        """[B, 1, samples] to float32 [B, D, T]: the continuous representation before quantisation."""
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
                f"Codes run from {low} to {high}; this codec has 0 to {self.N - 1}, so they are another's."
            )

    def describe(self) -> dict[str, Any]:
        """The fields of codec.json that every codec has."""
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
