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
import itertools
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dose import files
from dose.codec import frames, quantise
from dose.codec.codec import CODEBOOKS, ENTRIES, HOP, SILENCE_PEAK, Codec

HEAD = 2  # codebooks for the envelope; the rest are for the waveform
QUARTERS = 4  # of a frame, 2.9 ms: how finely the level of the noise is followed in time
BLOCKS, BLOCK = 16, 32  # a frame's level is described in 16 steps of 32 samples, 0.73 ms
GATE_DB = -48.0  # what lies this far below the coming hit is silenced
CHUNK = 512  # frames encoded at once, 6 s


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """How the compact codec sees a frame. Changing anything makes another codec with another id."""

    overlap: int = 128  # samples that neighbouring frames share
    edges: tuple[int, ...] = (0, 3, 6, 10, 15, 21, 28, 37, 48, 64, 86, 116, 155, 207, 276, 369, 512)
    wave: int = 10  # bands whose waveform is coded; the others get noise
    gamma: float = 0.8  # 1 = least squared error, 0 = all bands alike
    range_db: float = 80.0  # bands further below the loudest one count as this far below
    jump_db: float = 12.0  # smallest rise inside a frame that is described
    jumps: int = 96  # ways in which a hit may begin in a frame: none, at its start, and inside it
    shapes: int = 5  # entries of codebook 1 for each of those ways
    detail: float = 0.5  # weight of an error in a noise band's detail against one in the waveform
    air: float = 4.0  # weight of a noise band's level against a waveform band's
    beam: int = 3

    def __post_init__(self) -> None:
        if not (self.edges[0] == 0 and self.edges[-1] == HOP and list(self.edges) == sorted(set(self.edges))):
            raise ValueError(f"edges must rise from 0 to {HOP}")
        if not 0 < self.wave < self.bands:
            raise ValueError("wave must leave bands to the waveform and to the noise")
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

    @property
    def halves(self) -> tuple[int, ...]:
        """Edges of the noise bands, each cut in two."""
        noise = self.edges[self.wave :]
        cuts = [(a + b) // 2 for a, b in itertools.pairwise(noise)]
        return tuple(sorted((*noise, *cuts)))

    @property
    def tail(self) -> int:
        """Numbers that the waveform books describe: coefficients, levels of half bands and of quarters."""
        return self.dims + len(self.halves) - 1 + QUARTERS


class CompactCodec(Codec):
    """The fitted tables at work. `tables`: envelope [2, N, bands], jumps [J, BLOCKS], wave
    [7, N, dims], noise [R, HOP], embed_mean [HOP], embed [HOP, D]."""

    kind = "compact"

    def __init__(self, config: CompactConfig, tables: dict[str, Tensor]) -> None:
        self.config, self.tables = config, tables
        self.made: dict[str, str] | None = None  # for the card: material and method, in words
        self.id = _hash(config, tables)
        self._cosines = frames.cosines()
        self._view = View(config)

    def save(self, folder: Path | str) -> None:
        folder = Path(folder)
        with files.atomic(folder / "weights.safetensors") as beside:
            save_file(self.tables, beside)
            beside.chmod(0o644)  # safetensors leaves it readable by its owner alone
        files.write_json(
            folder / "codec.json",
            self.describe()
            | {
                "weights": "weights.safetensors",
                "config": dataclasses.asdict(self.config),
                "made": self.made,
            },
        )

    def _encode(self, audio: Tensor) -> Tensor:
        total = self.frames(audio.shape[-1])
        parts = []
        for start in range(0, total, CHUNK):
            folded, jump = analyse(
                audio[:, 0], start, min(start + CHUNK, total), self.tables["jumps"], self._view
            )
            parts.append(self._encode_frames(folded, jump))
        return torch.cat(parts, dim=1).transpose(1, 2)

    def _encode_frames(self, folded: Tensor, jump: Tensor) -> Tensor:
        """[B, T, HOP] and [B, T] to [B, T, K]."""
        flat = folded.reshape(-1, HOP)
        codes = torch.zeros(len(flat), self.K, dtype=torch.long)
        loud = (flat.abs().amax(-1) >= SILENCE_PEAK).nonzero()[:, 0]
        for part in loud.split(quantise.TILE * 4):
            codes[part] = self._encode_loud(flat[part], jump.reshape(-1)[part])
        return codes.reshape(*folded.shape[:2], self.K)

    def _encode_loud(self, folded: Tensor, jump: Tensor) -> Tensor:
        view, tables = self._view, self.tables
        seen = view.see(folded, jump, tables["jumps"], self._cosines)
        head = search_envelope(seen, tables["envelope"], view)
        band_db = quantise.look_up(head, tables["envelope"].double())
        target, weights = view.tail(seen.flat, band_db, self._cosines)
        tail = quantise.search(target, tables["wave"], view.weighting, weights, self.config.beam)
        return torch.cat([view.place(head, seen.jump), tail], dim=-1)

    def _decode(self, codes: Tensor) -> Tensor:
        batch, _, total = codes.shape
        rows = codes.long().transpose(1, 2).reshape(-1, self.K)
        folded = torch.zeros(len(rows), HOP, dtype=torch.float64)
        loud = (rows[:, 0] != 0).nonzero()[:, 0]
        for part in loud.split(4096):
            folded[part] = self._decode_loud(rows[part], part % total)
        _, jump = self._view.take_apart(rows[:, :HEAD])
        rises = jump.where(rows[:, 0] != 0, torch.zeros(()).long()).reshape(batch, total) > 0
        folded = folded.reshape(batch, total, HOP)
        return frames.unfold(folded, self.config.overlap, hard_boundaries(rises, True))[:, None].float()

    def _decode_loud(self, rows: Tensor, index: Tensor) -> Tensor:
        view, tables = self._view, self.tables
        head, jump = view.take_apart(rows[:, :HEAD])
        tail = quantise.look_up(rows[:, HEAD:], tables["wave"].double())
        noise = tables["noise"].double()[index % len(tables["noise"])]
        band_db = quantise.look_up(head, tables["envelope"].double())
        return view.sound(tail, band_db, noise, self._cosines) * view.gain(tables["jumps"][jump])

    def _embed(self, audio: Tensor) -> Tensor:
        folded, _ = analyse(audio[:, 0], 0, self.frames(audio.shape[-1]), self.tables["jumps"], self._view)
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
        self.halves = torch.tensor(config.halves).diff()
        self.half_of = torch.repeat_interleave(torch.arange(len(self.halves)), self.halves)
        own = torch.arange(config.wave, config.wave + config.tail - config.dims)
        self.weighting = quantise.Weighting(
            bands=torch.cat([self.band_of[: config.dims], own]), count=config.wave + len(own)
        )
        self.envelope = quantise.Weighting(bands=torch.arange(config.bands), count=config.bands)

    def see(self, folded: Tensor, jump: Tensor, jumps: Tensor, cosines: Tensor) -> Seen:
        """[F, HOP] float64 whose rises are [F] of the known ones [J, BLOCKS] in dB."""
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

    def curve(self, inside: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """How the level rises inside each frame, decibels [..., BLOCKS], 0 = full; and whether it does [...].

        From the samples between the boundaries and those of the frame before, [..., HOP] each. The level
        only rises (running maximum, which begins with the frame before), and a rise smaller than `jump_db`
        counts as none, so a low note's own swing is left alone.
        """
        power = inside.unflatten(-1, (BLOCKS, BLOCK)).square().mean(-1)
        past = before.unflatten(-1, (BLOCKS, BLOCK)).square().mean(-1).amax(-1, keepdim=True)
        running = torch.cat([past, power], dim=-1).cummax(-1).values
        db = 10 * torch.log10(running / running[..., -1:].clamp_min(1e-12) + 1e-9)
        rises = (db[..., 0] < -self.config.jump_db) & (running[..., -1] > SILENCE_PEAK**2)
        return db[..., 1:].clamp_min(GATE_DB).where(rises[..., None], torch.zeros(()).double()), rises

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

    def tail(self, flat: Tensor, band_db: Tensor, cosines: Tensor) -> tuple[Tensor, Tensor]:
        """What books 2 to 8 describe, [F, tail], and its weights, [F, weighting.count].

        The coefficients below the noise bands, over the envelope; how far the level of each half noise band
        lies from the envelope, and that of the noise in each quarter of the frame from its mean, in nepers.
        """
        config = self.config
        normal = (flat @ cosines) / self.level(band_db)
        air = normal[:, config.dims :]
        power = torch.zeros(len(flat), len(self.halves), dtype=torch.float64)
        power.index_add_(1, self.half_of, air.square())
        level = (power / self.halves + 1e-6).log() / 2
        time = (air * self.level(band_db)[:, config.dims :]) @ cosines[config.dims :]
        energy = time.reshape(-1, QUARTERS, HOP // QUARTERS).square().mean(-1) + 1e-12
        course = (energy / energy.mean(-1, keepdim=True) + 1e-3).log() / 2
        wanted = torch.cat([normal[:, : config.dims], level.clamp(-2, 2), course], dim=-1)
        loud = 10 ** (config.gamma * (band_db - band_db.amax(-1, keepdim=True)) / 10)
        air_loud = loud[:, config.wave :].repeat_interleave(2, dim=-1) * self.halves * config.detail
        in_time = (air_loud.sum(-1, keepdim=True) / QUARTERS).expand(-1, QUARTERS)
        return wanted, torch.cat([loud[:, : config.wave], air_loud, in_time], dim=-1)

    def sound(self, tail: Tensor, band_db: Tensor, noise: Tensor, cosines: Tensor) -> Tensor:
        """Folded samples [F, HOP] from decoded numbers [F, tail], levels [F, bands] and noise [F, HOP]."""
        dims, level = self.config.dims, self.level(band_db)
        air_db, course = tail[:, dims:-QUARTERS].clamp(-3, 3), tail[:, -QUARTERS:].clamp(-4, 2).exp()
        air = noise[:, dims:] * level[:, dims:] * air_db.exp()[:, self.half_of]
        course = course / course.square().mean(-1, keepdim=True).sqrt()
        shaped = (air @ cosines[dims:]) * course.repeat_interleave(HOP // QUARTERS, dim=-1)
        return (tail[:, :dims] * level[:, :dims]) @ cosines[:dims] + shaped


def analyse(audio: Tensor, start: int, stop: int, jumps: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Frames `start`..`stop` of [B, N]: folded samples [B, T, HOP] and the rise in each, int64 [B, T].

    Rise 0 is none, 1 is a hit right at the boundary (with the flat curve), the others are inside the frame.
    """
    overlap, total = view.config.overlap, -(-audio.shape[-1] // HOP)
    more = min(stop + 1, total)  # the right neighbour tells whether the last boundary is hard
    piece = frames.pieces(audio, overlap, start - 1, more)
    inside = frames.between(piece, overlap)
    curve, rises = view.curve(inside[:, 1:], inside[:, :-1])
    piece = piece[:, frames.HOP :]
    nearest = torch.cdist(curve.reshape(-1, BLOCKS), jumps[1:].double()).argmin(-1) + 1
    jump = nearest.reshape(rises.shape).where(rises, torch.zeros(()).long())
    folded = frames.fold(piece, overlap, hard_boundaries(jump > 0, more == total))
    return folded[:, : stop - start], jump[:, : stop - start]


def hard_boundaries(rises: Tensor, end: bool) -> Tensor:
    """Bool [B, T] to [B, T + 1]: hard before every frame that rises, and at the end of the sound."""
    return torch.cat([rises, torch.full_like(rises[:, :1], end)], dim=-1)


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
        "wave": (CODEBOOKS - HEAD, ENTRIES, config.tail),
        "noise": (None, HOP),
        "embed_mean": (HOP,),
        "embed": (HOP, None),
    }
