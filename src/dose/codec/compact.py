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

HEAD = 2  # codebooks for the envelope; the rest are for the waveform
BLOCKS, BLOCK = 16, 32  # a frame's level is described in 16 steps of 32 samples, 0.73 ms
GATE_DB = -48.0  # what lies this far below the coming hit is silenced
CHUNK = 512  # frames encoded at once, 6 s


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """How the compact codec sees a frame. Changing anything makes another codec with another id."""

    overlap: int = 128  # samples that neighbouring frames share
    edges: tuple[int, ...] = (0, 3, 6, 10, 15, 21, 28, 37, 48, 64, 86, 114, 152, 202, 268, 340, 420, 512)
    wave: int = 12  # bands whose waveform is coded; the others get noise
    gamma: float = 0.8  # 1 = least squared error, 0 = all bands alike
    range_db: float = 80.0  # bands further below the loudest one count as this far below
    jump_db: float = 15.0  # smallest rise inside a frame that is described
    jumps: int = 96  # ways in which the level may rise inside a frame, "not at all" being the first
    shapes: int = 5  # entries of codebook 1 for each of those ways
    air: float = 2.0  # weight of a noise band's level against a waveform band's
    beam: int = 2

    def __post_init__(self) -> None:
        if not (self.edges[0] == 0 and self.edges[-1] == HOP and list(self.edges) == sorted(set(self.edges))):
            raise ValueError(f"edges must rise from 0 to {HOP}")
        if not 0 < self.wave < len(self.edges) or self.edges[self.wave] > HOP:
            raise ValueError("wave and envelope must leave something to both parts")
        if self.overlap % 2 or not 2 <= self.overlap <= HOP:
            raise ValueError(f"overlap must be an even number from 2 to {HOP}")

        if not 0 < self.plain < ENTRIES:
            raise ValueError("jumps and shapes must leave entries of codebook 1 to frames without a jump")

    @property
    def plain(self) -> int:
        """Entries of codebook 1 for frames without a jump; the others follow, `shapes` for each jump."""
        return ENTRIES - (self.jumps - 1) * self.shapes

    @property
    def bands(self) -> int:
        return len(self.edges) - 1

    @property
    def dims(self) -> int:
        """Coefficients whose waveform is coded."""
        return self.edges[self.wave]


class CompactCodec(Codec):
    """The fitted tables at work. `tables`: envelope [2, N, bands], jumps [J, BLOCKS], wave
    [7, N, dims], noise [R, HOP], embed_mean [HOP], embed [HOP, D]."""

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
        view, tables = self._view, self.tables
        seen = view.see(folded, tables["jumps"], self._cosines)
        head = search_envelope(seen, tables["envelope"], view)
        band_db = quantise.look_up(head, tables["envelope"].double())
        wave, weights = view.wave(seen.flat, band_db, self._cosines)
        tail = quantise.search(wave, tables["wave"], view.weighting, weights, self.config.beam)
        return torch.cat([view.place(head, seen.jump), tail], dim=-1)

    def _decode(self, codes: Tensor) -> Tensor:
        batch, _, total = codes.shape
        rows = codes.long().transpose(1, 2).reshape(-1, self.K)
        folded = torch.zeros(len(rows), HOP, dtype=torch.float64)
        loud = (rows[:, 0] != 0).nonzero()[:, 0]
        for part in loud.split(4096):
            folded[part] = self._decode_loud(rows[part], part % total)
        return frames.unfold(folded.reshape(batch, total, HOP), self.config.overlap)[:, None].float()

    def _decode_loud(self, rows: Tensor, index: Tensor) -> Tensor:
        view, tables = self._view, self.tables
        head, jump = view.take_apart(rows[:, :HEAD])
        wave = quantise.look_up(rows[:, HEAD:], tables["wave"].double())
        noise = tables["noise"].double()[index % len(tables["noise"])]
        full = torch.cat([wave, noise[:, self.config.dims :]], dim=-1)
        full *= view.level(quantise.look_up(head, tables["envelope"].double()))
        return (full @ self._cosines) * view.gain(tables["jumps"][jump])

    def _embed(self, audio: Tensor) -> Tensor:
        folded = frames.fold(audio[:, 0], self.config.overlap, 0, self.frames(audio.shape[-1]))
        seen = compand(folded @ self._cosines) - self.tables["embed_mean"]
        return (seen.float() @ self.tables["embed"]).transpose(1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What the analysis finds in F frames."""

    jump: Tensor  # int64 [F], which of the known rises
    flat: Tensor  # float64 [F, HOP], the folded samples with the rise taken out
    band_db: Tensor  # float64 [F, bands]
    weights: Tensor  # float64 [F, bands], how much an error of a band's level matters


class View:
    """The signal side of a configuration: folded samples to envelope and normalised waveform, and back."""

    def __init__(self, config: CompactConfig) -> None:
        self.config = config
        sizes = torch.tensor(config.edges).diff()
        self.band_of = torch.repeat_interleave(torch.arange(config.bands), sizes)
        self.sizes = sizes.double()
        self.weighting = quantise.Weighting(bands=self.band_of[: config.dims], count=config.wave)
        self.envelope = quantise.Weighting(bands=torch.arange(config.bands), count=config.bands)

    def see(self, folded: Tensor, jumps: Tensor, cosines: Tensor) -> Seen:
        """[F, HOP] float64, by the known rises [J, BLOCKS] in dB."""
        curve = self.curve(folded)
        jump = torch.cdist(curve, jumps.double()).argmin(-1)
        jump = jump.where(curve.amin(-1) < 0, torch.zeros(()).long())
        gain = self.gain(jumps[jump])
        flat = (folded / gain).where(gain > 0, torch.zeros(()).double())
        power = torch.zeros(len(flat), self.config.bands, dtype=torch.float64)
        power.index_add_(1, self.band_of, (flat @ cosines).square())
        db = 10 * torch.log10(power / self.sizes + 1e-12)
        below = db - db.amax(-1, keepdim=True)
        weights = (1 + below / 60).clamp_min(0.2) ** 2
        weights[:, self.config.wave :] *= self.config.air
        db = torch.maximum(db, db.amax(-1, keepdim=True) - self.config.range_db).clamp_min(-100)
        return Seen(jump=jump, flat=flat, band_db=db, weights=weights)

    def curve(self, folded: Tensor) -> Tensor:
        """[F, HOP] to decibels [F, BLOCKS], 0 = full level: how the level rises inside the frame.

        It only rises (running maximum), and a rise smaller than `jump_db` counts as none, so a low note's
        own swing is left alone.
        """
        power = folded.reshape(-1, BLOCKS, BLOCK).square().mean(-1).cummax(-1).values
        db = (10 * torch.log10(power / power[:, -1:] + 1e-9)).clamp_min(GATE_DB)
        return db.where(db[:, :1] < -self.config.jump_db, torch.zeros(()).double())

    def gain(self, curve: Tensor) -> Tensor:
        """Decibels [F, BLOCKS] to a gain per sample, float64 [F, HOP]; what lies near GATE_DB is shut."""
        level = 10 ** (curve.double() / 20)
        level = level.where(curve > GATE_DB + 6, torch.zeros(()).double())
        return level.repeat_interleave(BLOCK, dim=-1)

    def place(self, head: Tensor, jump: Tensor) -> Tensor:
        """Envelope entries [F, 2] and rises [F] to the first two codes."""
        second = head[:, 1].where(jump == 0, head[:, 1] + (jump - 1) * self.config.shapes)
        return torch.stack([head[:, 0], second], dim=-1)

    def take_apart(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse of `place`."""
        over = codes[:, 1] - self.config.plain
        jump = torch.where(over >= 0, over // self.config.shapes + 1, 0)
        entry = torch.where(over >= 0, self.config.plain + over % self.config.shapes, codes[:, 1])
        return torch.stack([codes[:, 0], entry], dim=-1), jump

    def level(self, band_db: Tensor) -> Tensor:
        """Amplitude of each coefficient [F, HOP]."""
        return (10 ** (band_db / 20))[:, self.band_of]

    def wave(self, flat: Tensor, band_db: Tensor, cosines: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised coefficients [F, dims] and the weight of each waveform band [F, wave]."""
        dims = self.config.dims
        wave = (flat @ cosines[:, :dims]) / self.level(band_db)[:, :dims]
        db = band_db[:, : self.config.wave]
        weights = 10 ** (self.config.gamma * (db - db.amax(-1, keepdim=True)) / 10)
        return wave, weights


def search_envelope(seen: Seen, books: Tensor, view: View) -> Tensor:
    """Entries int64 [F, 2] of the envelope books [2, N, bands] for what was seen.

    Entry 0 of the first book is kept for silence: no sounding frame gets it. Frames with a rise have entries
    of their own in the second book.
    """
    plain = view.config.plain
    out = torch.zeros(len(seen.jump), 2, dtype=torch.long)
    for rises, part in (
        (seen.jump == 0, slice(0, plain)),
        (seen.jump > 0, slice(plain, plain + view.config.shapes)),
    ):
        rows = rises.nonzero()[:, 0]
        x, weights = seen.band_db[rows], seen.weights[rows]
        first = quantise.shortlist(x, books[0, 1:], view.envelope, weights, 8) + 1
        left = x[:, None] - books[0].double()[first]  # [F, 8, bands]
        second = books[1, part]
        flat = left.reshape(-1, left.shape[-1])
        each = weights.repeat_interleave(first.shape[1], 0)
        entry = quantise.shortlist(flat, second, view.envelope, each, 1)[:, 0]
        cost = (each * (flat - second.double()[entry]) ** 2).sum(-1).reshape(first.shape)
        best = cost.argmin(-1, keepdim=True)
        entry = entry.reshape(first.shape).gather(1, best)[:, 0]
        out[rows] = torch.stack([first.gather(1, best)[:, 0], entry + (part.start or 0)], -1)
    return out


def compand(coefficients: Tensor) -> Tensor:
    """Magnitudes on a scale closer to loudness."""
    return coefficients.abs() ** 0.6


def _hash(config: CompactConfig, tables: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(files.hash_json(config).encode())
    for name in sorted(tables):
        digest.update(f"{name} {tables[name].dtype} {list(tables[name].shape)}".encode())
        digest.update(tables[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def describe_tables(config: CompactConfig) -> dict[str, tuple[int | None, ...]]:
    """The shape each table must have; None = any."""
    return {
        "envelope": (HEAD, ENTRIES, config.bands),
        "jumps": (config.jumps, BLOCKS),
        "wave": (CODEBOOKS - HEAD, ENTRIES, config.dims),
        "noise": (None, HOP),
        "embed_mean": (HOP,),
        "embed": (HOP, None),
    }
