"""descript-audio-codec (DAC; Kumar et al., 2023) as a `Codec`; only this module imports dac and audiotools.

Items are encoded one by one, and a long one in chunks on a fixed grid, each with the network's receptive
field as context. So the codes of a sound depend neither on the batch nor on the chunk size, and equal those
of the whole sound (upstream's chunked files do not: descript-audio-codec issues 39 and 45).
"""

import functools
import hashlib
import importlib
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dose import compute, files
from dose.codec.codec import Codec, check_same
from dose.codec.fastconv import fast
from dose.codec.tables import read_tables
from dose.errors import DoseError, IntegrityError

CHUNK = 430  # frames encoded at once, 5 s: about 1 GB of memory at the official size
MAX_BYTES = 1 << 30  # of a weights file; the official one has 0.3 GB
SHAPE_KEYS = (
    "encoder_dim", "encoder_rates", "latent_dim", "decoder_dim", "decoder_rates", "n_codebooks",
    "codebook_size", "codebook_dim", "sample_rate",
)  # fmt: skip
Backend = Literal["plain", "fast"]
Network = Callable[[Tensor], Tensor]


class DacCodec(Codec):
    """Encodes and decodes with a DAC model.

    `backend`: "plain" is upstream's forward pass in float32; "fast" computes the same layers as channels-last
    convolutions, the decoder's in `precision` ("auto": bf16 where that is faster, at an error 30 dB below the
    sound). Encoding is always float32, so codes are the same on every machine.
    """

    kind = "dac"

    def __init__(self, model: Any, backend: Backend = "fast", precision: compute.Precision = "auto") -> None:
        self.model = model.eval().requires_grad_(False)
        self.backend, self.precision = backend, precision
        self.shape = {k: plain_value(getattr(model, k)) for k in SHAPE_KEYS}
        self.rate, self.hop = int(self.model.sample_rate), int(self.model.hop_length)
        self.K, self.N = int(self.model.n_codebooks), int(self.model.codebook_size)
        self.id = _hash(self.shape, self.model.state_dict())
        self._encoder: Network = (
            self.model.encoder if backend == "plain" else fast(self.model.encoder, torch.float32)
        )
        rates = self.shape["encoder_rates"]
        self._context = _context(rates)
        # The decoder's first convolution reaches 3 frames to either side, the encoder's less than 1.
        self._decode_context = _context(rates) + 4

    @functools.cached_property
    def choice(self) -> compute.Choice:
        """The decoder's number format."""
        return choose_format(self.precision)

    @functools.cached_property
    def _decoder(self) -> Network:
        if self.backend == "plain":
            plain: Network = self.model.decoder
            return plain
        return fast(self.model.decoder, torch.bfloat16 if self.choice.format == "bf16" else torch.float32)

    def save(self, folder: Path | str) -> None:
        folder = Path(folder)
        state = {k: v.contiguous() for k, v in self.model.state_dict().items()}
        with files.atomic(folder / "weights.safetensors") as beside:
            save_file(state, beside)
            beside.chmod(0o644)  # safetensors leaves it readable by its owner alone
        files.write_json(
            folder / "codec.json", self.describe() | {"weights": "weights.safetensors", "model": self.shape}
        )

    def latents(self, audio: Tensor) -> Tensor:
        """[B, 1, samples] to the encoder's output [B, D, T], item by item, chunk by chunk."""
        total = self.frames(audio.shape[-1])
        audio = nn.functional.pad(audio, (0, total * self.hop - audio.shape[-1]))

        def part(first: int, last: int, item: Tensor) -> Tensor:
            return self._encoder(item[..., first * self.hop : last * self.hop])

        return torch.cat(
            [_in_chunks(functools.partial(part, item=a[None]), total, self._context, 1) for a in audio]
        )

    def _encode(self, audio: Tensor) -> Tensor:
        # One item at a time here too: the codebook look-up is a matrix product over all frames, and its
        # rounding depends on their number.
        return torch.cat([self.model.quantizer(self.latents(a[None]))[1] for a in audio])

    def _decode(self, codes: Tensor) -> Tensor:
        def part(first: int, last: int, item: Tensor) -> Tensor:
            return self._decoder(self.model.quantizer.from_codes(item[..., first:last].long())[0]).float()

        total = codes.shape[-1]
        return torch.cat(
            [
                _in_chunks(functools.partial(part, item=c[None]), total, self._decode_context, self.hop)
                for c in codes
            ]
        )

    def _embed(self, audio: Tensor) -> Tensor:
        return self.latents(audio)


def choose_format(wanted: compute.Precision) -> compute.Choice:
    """fp32 or bf16 for a decoder of the official size, measured on one of its convolutions."""
    channels, taps, frames = 384, 7, 1024

    def prepare(dtype: torch.dtype) -> compute.Work:
        x = torch.ones(1, channels, 1, frames, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = torch.ones(channels, channels, 1, taps, dtype=dtype)
        weight = weight.contiguous(memory_format=torch.channels_last)
        return torch.inference_mode()(lambda: nn.functional.conv2d(x, weight, padding=(0, taps // 2)))

    return compute.choose(
        wanted,
        torch.device("cpu"),
        f"convolution, channels {channels}",
        {"fp32": lambda: prepare(torch.float32), "bf16": lambda: prepare(torch.bfloat16)},
        flop=2 * channels * channels * taps * frames,
    )


def _in_chunks(part: Callable[[int, int], Tensor], total: int, context: int, width: int) -> Tensor:
    """Concatenates `part(first, last)` over frames 0..total, each with `context` more frames on either side.

    `part` returns [..., (last - first) * width].
    """
    out = []
    for start in range(0, total, CHUNK):
        stop = min(start + CHUNK, total)
        first, last = max(0, start - context), min(total, stop + context)
        piece = part(first, last)
        out.append(piece[..., (start - first) * width : (stop - first) * width])
    return torch.cat(out, dim=-1)


def _context(rates: list[int]) -> int:
    """Receptive field of one encoder frame on either side, in frames, rounded up."""
    # In samples. The first convolution has 7 taps: 3 on either side.
    reach, step = 3, 1
    for rate in rates:
        # Three residual units of 7 taps, dilated by 1, 3 and 9: 3 * (1 + 3 + 9) = 39; then a strided
        # convolution of 2 * rate taps.
        reach += 39 * step + rate * step
        step *= rate
    return math.ceil((reach + step) / step) + 1


def load_dac(folder: Path, meta: dict[str, Any]) -> DacCodec:
    """Reads what `DacCodec.save` wrote. Raises as `load_codec` does."""
    path = folder / str(meta.get("weights", "weights.safetensors"))
    shape = meta.get("model")
    if not isinstance(shape, dict) or set(shape) != set(SHAPE_KEYS):
        raise IntegrityError(f"{folder / 'codec.json'} does not give the shape of its DAC model.")
    codec = DacCodec(build(shape, read_tables(path, limit=MAX_BYTES), path))
    check_same(meta["id"], codec.id, f"The weights in {path}")
    return codec


def dac_random(
    seed: int, *, backend: Backend = "fast", precision: compute.Precision = "auto", **shape: Any
) -> DacCodec:
    """A codec with untrained weights, for tests and timings; by default of the official size.

    `shape`: keywords of upstream's DAC, such as encoder_dim (64) and decoder_dim (1536).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DacCodec(_library().DAC(**shape), backend, precision)


def with_backend(codec: DacCodec, backend: Backend, precision: compute.Precision = "auto") -> DacCodec:
    """The same weights with another backend or precision."""
    return DacCodec(codec.model, backend, precision)


def build(shape: dict[str, Any], state: dict[str, Tensor], path: Path) -> nn.Module:
    """A DAC model of this shape with these weights, all of them used; `path` is for messages.

    Raises IntegrityError where shape and weights do not fit or weights are not finite.
    """
    try:
        model: nn.Module = _library().DAC(**shape)
        model.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, ValueError) as e:
        raise IntegrityError(
            f"{path} does not fit the DAC model it describes ({str(e).splitlines()[0]}); fetch it again."
        ) from e
    if not all(torch.isfinite(v).all() for v in state.values()):
        raise IntegrityError(f"{path} holds numbers that are not finite; fetch it again.")
    return model


@functools.cache
def _library() -> Any:
    """The module `dac`.

    It imports audiotools, which imports torchaudio and tensorboard for effects and training logs that are not
    used here. torchaudio is not installed, and tensorboard does not work with the protobuf version that the
    other packages need. Empty modules replace both while the import runs, and only then.
    """
    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = object  # type: ignore[attr-defined]
    wanted = {"torchaudio": types.ModuleType("torchaudio"), "torch.utils.tensorboard": board}
    stand_ins = {name: module for name, module in wanted.items() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module("dac")
    except ImportError as e:
        raise DoseError(
            f"descript-audio-codec cannot be imported ({e}); install the requirements or use another codec."
        ) from e
    finally:
        for name in stand_ins:
            del sys.modules[name]


def plain_value(value: Any) -> Any:
    """A number, or a list of numbers, as JSON has them."""
    return [int(v) for v in value] if isinstance(value, list | tuple) else int(value)


def _hash(shape: dict[str, Any], state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(files.hash_json(shape).encode())
    for name in sorted(state):
        digest.update(f"{name} {list(state[name].shape)}".encode())
        digest.update(state[name].float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
