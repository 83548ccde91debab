"""The compact drum codec: an envelope first, then the waveform inside it.

Each frame of 512 samples is an MDCT (`frames.py`). Codebooks 0 and 1 say how loud each of the bands is, in
decibels, and, when a hit begins inside the frame, how the level jumps in steps of 32 samples. Codebooks 2
to 8 carry the coefficients below about 8 kHz, divided by that envelope, as a residual vector quantiser in
which loud bands weigh more. What they leave open is filled with noise of the right level. So the first code
alone gives the right loudness and colour, a level shift of the sound moves only the first codes, and a
language model that errs in the later codes still makes a sound of the right shape. Silence is code 0 in
every codebook and decodes to exact zeros.
"""

import dataclasses
import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dose import files
from dose.codec import frames, quantise
from dose.codec.codec import CODEBOOKS, ENTRIES, HOP, SILENCE_PEAK, Codec

BLOCKS, BLOCK = 16, 32  # a frame's level is described in 16 steps of 32 samples, 0.73 ms
CHUNK = 512  # frames encoded at once, 6 s


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """How the compact codec sees a frame. Changing anything makes another codec with another id."""

    overlap: int = 128  # samples that neighbouring frames share
    edges: tuple[int, ...] = (0, 3, 6, 10, 15, 21, 28, 37, 48, 64, 86, 114, 152, 202, 268, 340, 420, 512)
    wave: int = 12  # bands whose waveform is coded; the others get noise
    envelope: int = 2  # codebooks for the envelope; the rest are for the waveform
    gamma: float = 0.8  # 1 = least squared error, 0 = all bands alike
    range_db: float = 60.0  # bands further below the loudest one count as this far below
    jump_db: float = 24.0  # smallest rise inside a frame that is described
    jump_weight: float = 0.3  # weight of a decibel of jump against a decibel of band level
    fill: float = 0.5  # share of the missing energy that noise makes up in waveform bands
    beam: int = 2

    def __post_init__(self) -> None:
        if not (self.edges[0] == 0 and self.edges[-1] == HOP and list(self.edges) == sorted(set(self.edges))):
            raise ValueError(f"edges must rise from 0 to {HOP}")
        if not 0 < self.wave < len(self.edges) or not 0 < self.envelope < CODEBOOKS:
            raise ValueError("wave and envelope must leave something to both parts")
        if self.overlap % 2 or not 2 <= self.overlap <= HOP:
            raise ValueError(f"overlap must be an even number from 2 to {HOP}")

    @property
    def bands(self) -> int:
        return len(self.edges) - 1

    @property
    def dims(self) -> int:
        """Coefficients whose waveform is coded."""
        return self.edges[self.wave]


class CompactCodec(Codec):
    """The fitted tables at work. `tables`: envelope [2, N, bands + BLOCKS], wave [7, N, dims], noise
    [R, HOP], embed_mean [HOP], embed [HOP, D]."""

    kind = "compact"

    def __init__(self, config: CompactConfig, tables: dict[str, Tensor]) -> None:
        self.config, self.tables = config, tables
        self.id = _hash(config, tables)
        self._cosines = frames.cosines()
        self._view = View(config)

    def save(self, folder: Path | str) -> None:
        folder = Path(folder)
        with files.atomic(folder / "weights.safetensors") as beside:
            save_file(self.tables, beside)
        files.write_json(
            folder / "codec.json",
            self.describe() | {"weights": "weights.safetensors", "config": dataclasses.asdict(self.config)},
        )

    def _encode(self, audio: Tensor) -> Tensor:
        total = self.frames(audio.shape[-1])
        parts = [
            self._encode_frames(frames.fold(audio[:, 0], self.config.overlap, i, min(i + CHUNK, total)))
            for i in range(0, total, CHUNK)
        ]
        return torch.cat(parts, dim=1).transpose(1, 2)

    def _encode_frames(self, folded: Tensor) -> Tensor:
        """[B, T, HOP] to [B, T, K]."""
        flat = folded.reshape(-1, HOP)
        codes = torch.zeros(len(flat), self.K, dtype=torch.long)
        loud = (flat.abs().amax(-1) >= SILENCE_PEAK).nonzero()[:, 0]
        for part in loud.split(quantise.TILE * 4):
            codes[part] = self._encode_loud(flat[part])
        return codes.reshape(*folded.shape[:2], self.K)

    def _encode_loud(self, folded: Tensor) -> Tensor:
        config, view = self.config, self._view
        head = quantise.search(
            view.envelope(folded, self._cosines) * view.importance,
            self._envelope_books() * view.importance.float(),
            quantise.plain(config.bands + BLOCKS),
            torch.ones(len(folded), 1, dtype=torch.float64),
            beam=8,
        )
        band_db, gain = view.split(self._look_up_envelope(head))
        wave, weights = view.wave(folded / gain, band_db, self._cosines)
        tail = quantise.search(wave, self.tables["wave"], view.weighting, weights, config.beam)
        return torch.cat([head, tail], dim=-1)

    def _envelope_books(self) -> Tensor:
        """Entry 0 of the first book is kept for silence: no sounding frame may choose it."""
        books = self.tables["envelope"].clone()
        books[0, 0] = 1e6
        return books

    def _look_up_envelope(self, head: Tensor) -> Tensor:
        return quantise.look_up(head, self.tables["envelope"].double())

    def _decode(self, codes: Tensor) -> Tensor:
        batch, _, total = codes.shape
        rows = codes.long().transpose(1, 2).reshape(-1, self.K)
        folded = torch.zeros(len(rows), HOP, dtype=torch.float64)
        loud = (rows[:, 0] != 0).nonzero()[:, 0]
        for part in loud.split(4096):
            folded[part] = self._decode_loud(rows[part], part % total)
        return frames.unfold(folded.reshape(batch, total, HOP), self.config.overlap)[:, None].float()

    def _decode_loud(self, rows: Tensor, index: Tensor) -> Tensor:
        config, view = self.config, self._view
        band_db, gain = view.split(self._look_up_envelope(rows[:, : config.envelope]))
        wave = quantise.look_up(rows[:, config.envelope :], self.tables["wave"].double())
        noise = self.tables["noise"].double()[index % len(self.tables["noise"])]
        return (view.fill(wave, noise) * view.level(band_db)) @ self._cosines * gain

    def _embed(self, audio: Tensor) -> Tensor:
        folded = frames.fold(audio[:, 0], self.config.overlap, 0, self.frames(audio.shape[-1]))
        seen = compand(folded @ self._cosines) - self.tables["embed_mean"]
        return (seen.float() @ self.tables["embed"]).transpose(1, 2)


class View:
    """The signal side of a configuration: folded samples to envelope and normalised waveform, and back."""

    def __init__(self, config: CompactConfig) -> None:
        self.config = config
        sizes = torch.tensor(config.edges).diff()
        self.band_of = torch.repeat_interleave(torch.arange(config.bands), sizes)
        self.sizes = sizes.double()
        self.weighting = quantise.Weighting(bands=self.band_of[: config.dims], count=config.wave)
        self.importance = torch.cat(
            [torch.ones(config.bands), torch.full((BLOCKS,), config.jump_weight)]
        ).double()

    def envelope(self, folded: Tensor, cosines: Tensor) -> Tensor:
        """[F, HOP] to decibels [F, bands + BLOCKS]: band levels behind the jump, then the jump."""
        jump = self.jump(folded)
        power = self._per_band((folded / _steps(jump)) @ cosines)
        db = 10 * torch.log10(power + 1e-12)
        floor = db.amax(-1, keepdim=True) - self.config.range_db
        return torch.cat([torch.maximum(db, floor).clamp_min(-100), jump], dim=-1)

    def jump(self, folded: Tensor) -> Tensor:
        """[F, HOP] to decibels [F, BLOCKS], 0 = full level: what comes before a hit inside the frame.

        The level only rises (running maximum), and rises smaller than `jump_db` count as none, so a low
        note's own swing is left alone.
        """
        power = folded.reshape(-1, BLOCKS, BLOCK).square().mean(-1)
        db = 10 * torch.log10(power.cummax(-1).values / power.amax(-1, keepdim=True) + 1e-7)
        return torch.where(db < -self.config.jump_db, db.clamp_min(-self.config.range_db), 0)

    def split(self, envelope: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised envelope to band levels in dB [F, bands] and the gain over time [F, HOP]."""
        jump = envelope[:, self.config.bands :]
        jump = torch.where(jump < -self.config.jump_db / 2, jump, 0)
        return envelope[:, : self.config.bands], _steps(jump)

    def level(self, band_db: Tensor) -> Tensor:
        """Amplitude of each coefficient [F, HOP]."""
        return (10 ** (band_db / 20))[:, self.band_of]

    def wave(self, folded: Tensor, band_db: Tensor, cosines: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised coefficients [F, dims] and the weight of each waveform band [F, wave]."""
        dims = self.config.dims
        wave = (folded @ cosines[:, :dims]) / self.level(band_db)[:, :dims]
        db = band_db[:, : self.config.wave]
        weights = 10 ** (self.config.gamma * (db - db.amax(-1, keepdim=True)) / 10)
        return wave, weights

    def fill(self, wave: Tensor, noise: Tensor) -> Tensor:
        """Normalised coefficients [F, HOP] with the missing energy made up by noise."""
        dims = self.config.dims
        full = torch.nn.functional.pad(wave, (0, HOP - dims))
        missing = (1 - self._per_band(full)).clamp_min(0)
        share = torch.ones(self.config.bands, dtype=torch.float64)
        share[: self.config.wave] = self.config.fill
        return full + noise * (missing * share).sqrt()[:, self.band_of]

    def _per_band(self, coefficients: Tensor) -> Tensor:
        """Mean square per band, [F, HOP] to [F, bands]."""
        out = torch.zeros(len(coefficients), self.config.bands, dtype=torch.float64)
        return out.index_add_(1, self.band_of, coefficients.square()) / self.sizes


def compand(coefficients: Tensor) -> Tensor:
    """Magnitudes on a scale closer to loudness."""
    return coefficients.abs() ** 0.6


def _steps(jump_db: Tensor) -> Tensor:
    """Decibels per block [F, BLOCKS] to a gain per sample [F, HOP]."""
    return (10 ** (jump_db / 20)).repeat_interleave(BLOCK, dim=-1)


def _hash(config: CompactConfig, tables: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(files.hash_json(config).encode())
    for name in sorted(tables):
        digest.update(f"{name} {tables[name].dtype} {list(tables[name].shape)}".encode())
        digest.update(tables[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def describe_tables(config: CompactConfig) -> dict[str, tuple[int | None, ...]]:
    """The shape each table must have; None = any."""
    return {
        "envelope": (config.envelope, ENTRIES, config.bands + BLOCKS),
        "wave": (CODEBOOKS - config.envelope, ENTRIES, config.dims),
        "noise": (None, HOP),
        "embed_mean": (HOP,),
        "embed": (HOP, None),
    }
