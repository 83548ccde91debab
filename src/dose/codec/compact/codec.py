"""The codec object: encodes in chunks of frames, decodes, saves and hashes its tables."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dose import files
from dose.codec import frames, quantise
from dose.codec.codec import CODEBOOK_SIZE, CODEBOOKS, HOP, SILENCE_PEAK, Codec
from dose.codec.compact import envelope, fine_structure
from dose.codec.compact.attack import analyse, attack_gain, hard_boundaries
from dose.codec.compact.bands import BandLayout
from dose.codec.compact.config import ENVELOPE_BOOKS, STEPS, CompactConfig

CHUNK = 512  # frames analysed at once, 6 s
DECODED_AT_ONCE = 4096  # frames; bounds the memory
# Stevens' power law: loudness grows with sound pressure to the power 0.6.
LOUDNESS_EXPONENT = 0.6


class CompactCodec(Codec):
    """Encodes and decodes with fitted tables.

    `tables`: envelope [2, N, bands]; jumps [J, STEPS], the attack curves; wave [7, N, fine_dims]; noise
    [R, HOP]; embed_mean [HOP]; embed [HOP, D].
    """

    kind = "compact"

    def __init__(self, config: CompactConfig, tables: dict[str, Tensor]) -> None:
        self.config, self.tables = config, tables
        self.provenance: dict[str, str] | None = None  # for the model card: material and method, in words
        self.id = _hash(config, tables)
        self._dct = frames.dct_iv()
        self._layout = BandLayout(config)

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
                "config": self.config.stored(),
                "made": self.provenance,
            },
        )

    def _encode(self, audio: Tensor) -> Tensor:
        total = self.frames(audio.shape[-1])
        parts = []
        for start in range(0, total, CHUNK):
            folded, attack = analyse(
                audio[:, 0], start, min(start + CHUNK, total), self.tables["jumps"], self.config
            )
            parts.append(self._encode_frames(folded, attack))
        return torch.cat(parts, dim=1).transpose(1, 2)  # [B, T, K] to [B, K, T]

    def _encode_frames(self, folded: Tensor, attack: Tensor) -> Tensor:
        """[B, T, HOP] and [B, T] to [B, T, K]."""
        flat = folded.reshape(-1, HOP)
        codes = torch.zeros(len(flat), self.K, dtype=torch.long)
        # Silent frames keep code 0 everywhere.
        sounding = (flat.abs().amax(-1) >= SILENCE_PEAK).nonzero()[:, 0]
        for part in sounding.split(quantise.TILE * 4):
            codes[part] = self._encode_sounding(flat[part], attack.reshape(-1)[part])
        return codes.reshape(*folded.shape[:2], self.K)

    def _encode_sounding(self, folded: Tensor, attack: Tensor) -> Tensor:
        """[F, HOP] and [F] to [F, K]."""
        layout, tables = self._layout, self.tables
        # 1. The envelope: codes 0 and 1.
        features = envelope.measure(folded, attack, tables["jumps"], layout, self._dct)
        entries = envelope.search(features, tables["envelope"], layout)
        # 2. The fine structure relative to the envelope as the decoder will know it: codes 2 to 8.
        band_db = quantise.look_up(entries, tables["envelope"].double())
        target, weights = fine_structure.target(features.flattened, band_db, layout, self._dct)
        fine = quantise.beam_search(
            target, tables["wave"], layout.fine_weighting, weights, self.config.beam_width
        )
        return torch.cat([envelope.pack_codes(entries, features.attack, self.config), fine], dim=-1)

    def _decode(self, codes: Tensor) -> Tensor:
        batch, _, total = codes.shape
        flat = codes.long().transpose(1, 2).reshape(-1, self.K)  # [B * T, K]
        folded = torch.zeros(len(flat), HOP, dtype=torch.float64)
        sounding = (flat[:, 0] != 0).nonzero()[:, 0]
        for part in sounding.split(DECODED_AT_ONCE):
            folded[part] = self._decode_sounding(flat[part], part % total)
        _, attack = envelope.unpack_codes(flat[:, :ENVELOPE_BOOKS], self.config)
        rises = attack.where(flat[:, 0] != 0, torch.zeros(()).long()).reshape(batch, total) > 0
        folded = folded.reshape(batch, total, HOP)
        return frames.unfold(folded, self.config.overlap, hard_boundaries(rises, True))[:, None].float()

    def _decode_sounding(self, codes: Tensor, index: Tensor) -> Tensor:
        """Codes [F, K] of frames number `index` [F] to folded samples [F, HOP]."""
        tables = self.tables
        entries, attack = envelope.unpack_codes(codes[:, :ENVELOPE_BOOKS], self.config)
        fine = quantise.look_up(codes[:, ENVELOPE_BOOKS:], tables["wave"].double())
        # The noise follows from the frame's number, so that decoding is deterministic.
        noise = tables["noise"].double()[index % len(tables["noise"])]
        band_db = quantise.look_up(entries, tables["envelope"].double())
        flattened = fine_structure.synthesise(fine, band_db, noise, self._layout, self._dct)
        return flattened * attack_gain(tables["jumps"][attack])

    def _embed(self, audio: Tensor) -> Tensor:
        folded, _ = analyse(audio[:, 0], 0, self.frames(audio.shape[-1]), self.tables["jumps"], self.config)
        centred = compress_loudness(folded @ self._dct) - self.tables["embed_mean"]  # [B, T, HOP]
        return (centred.float() @ self.tables["embed"]).transpose(1, 2)  # [B, D, T]


def compress_loudness(coefficients: Tensor) -> Tensor:
    """Power-law compression of the magnitudes."""
    compressed: Tensor = coefficients.abs() ** LOUDNESS_EXPONENT
    return compressed


def table_shapes(config: CompactConfig) -> dict[str, tuple[int | None, ...]]:
    """The shape each table must have; None = any."""
    return {
        "envelope": (ENVELOPE_BOOKS, CODEBOOK_SIZE, config.bands),
        "jumps": (config.attack_curves, STEPS),
        "wave": (CODEBOOKS - ENVELOPE_BOOKS, CODEBOOK_SIZE, config.fine_dims),
        "noise": (None, HOP),
        "embed_mean": (HOP,),
        "embed": (HOP, None),
    }


def _hash(config: CompactConfig, tables: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(files.hash_json(config.stored()).encode())
    for name in sorted(tables):
        digest.update(f"{name} {tables[name].dtype} {list(tables[name].shape)}".encode())
        digest.update(tables[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
