"""descript-audio-codec behind the project's Codec: the only module that imports dac and audiotools.

Items are encoded one by one, and a long one in chunks on a fixed grid, each with as many frames of context
as the network can see. So the codes of a sound depend neither on the batch nor on the machine's memory, and
equal those of the whole sound (upstream's chunked files do not: descript-audio-codec issues 39 and 45).
"""

import functools
import hashlib
import importlib
import math
import sys
import types
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dose import compute, files
from dose.codec.codec import Codec, check_same
from dose.codec.fastconv import fast
from dose.codec.tables import read_tables
from dose.errors import DoseError, IntegrityError, MissingInputError

if TYPE_CHECKING:
    from dose.codec.config import OfficialConfig

CHUNK = 430  # frames encoded at once, 5 s: about 1 GB at the official size
SHAPE_KEYS = (
    "encoder_dim", "encoder_rates", "latent_dim", "decoder_dim", "decoder_rates", "n_codebooks",
    "codebook_size", "codebook_dim", "sample_rate",
)  # fmt: skip
Path_ = Literal["plain", "fast"]
Decoder = Callable[[Tensor], Tensor]


class DacCodec(Codec):
    """A DAC model at work. `path`: "plain" is upstream's forward pass in float32; "fast" the same layers as
    channels-last convolutions, of which the decoder's run in `precision` ("auto": bf16 where that is faster,
    at an error 30 dB below the sound; encoding stays float32, so codes are the same everywhere)."""

    kind = "dac"

    def __init__(self, model: Any, path: Path_ = "fast", precision: compute.Precision = "auto") -> None:
        self.model = model.eval().requires_grad_(False)
        self.path, self.precision = path, precision
        self.shape = {k: _plain(getattr(model, k)) for k in SHAPE_KEYS}
        self.rate, self.hop = int(self.model.sample_rate), int(self.model.hop_length)
        self.K, self.N = int(self.model.n_codebooks), int(self.model.codebook_size)
        self.id = _hash(self.shape, self.model.state_dict())
        self._encoder: Decoder = (
            self.model.encoder if path == "plain" else fast(self.model.encoder, torch.float32)
        )
        rates = self.shape["encoder_rates"]
        self._context = _context(rates)
        self._decode_context = _context(rates) + 4  # the decoder's first convolution sees 3 frames, not 1

    @functools.cached_property
    def choice(self) -> compute.Choice:
        """The decoder's number format."""
        return choose_format(self.precision)

    @functools.cached_property
    def _decoder(self) -> Decoder:
        if self.path == "plain":
            return self.model.decoder  # type: ignore[no-any-return]
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
        """[B, 1, N] to the encoder's output [B, D, T], item by item, chunk by chunk."""
        total = self.frames(audio.shape[-1])
        audio = nn.functional.pad(audio, (0, total * self.hop - audio.shape[-1]))

        def part(first: int, last: int, item: Tensor) -> Tensor:
            return self._encoder(item[..., first * self.hop : last * self.hop])

        return torch.cat(
            [_in_chunks(functools.partial(part, item=a[None]), total, self._context, 1) for a in audio]
        )

    def _encode(self, audio: Tensor) -> Tensor:
        # One item at a time here too: the look-up is a matrix product over all frames.
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
    """fp32 or bf16 for a decoder of DAC's size, by one of its convolutions: 384 channels, 7 taps."""
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
    """Joins `part(first, last)` over frames 0..total, each computed with `context` more on either side.

    `part` gives `width` columns per frame.
    """
    out = []
    for start in range(0, total, CHUNK):
        stop = min(start + CHUNK, total)
        first, last = max(0, start - context), min(total, stop + context)
        piece = part(first, last)
        out.append(piece[..., (start - first) * width : (stop - first) * width])
    return torch.cat(out, dim=-1)


def _context(rates: list[int]) -> int:
    """Frames on either side that one frame of the encoder can see, rounded up."""
    seen, step = 3, 1  # the first convolution has 7 taps
    for rate in rates:
        seen += 39 * step + rate * step  # residual units of 7 taps dilated 1, 3, 9; then 2 x rate taps
        step *= rate
    return math.ceil((seen + step) / step) + 1


def load_dac(folder: Path, meta: dict[str, Any]) -> DacCodec:
    """What `DacCodec.save` wrote. Raises as `load_codec` does."""
    path = folder / str(meta.get("weights", "weights.safetensors"))
    shape = meta.get("model")
    if not isinstance(shape, dict) or set(shape) != set(SHAPE_KEYS):
        raise IntegrityError(f"{folder / 'codec.json'} does not give the shape of its DAC model.")
    codec = DacCodec(_built(shape, read_tables(path, limit=1 << 30), path))
    check_same(meta["id"], codec.id, f"The weights in {path}")
    return codec


def official_codec(config: "OfficialConfig") -> DacCodec:
    """The codec with the authors' weights: the local file, else downloaded to there.

    Raises MissingInputError when there is neither file nor network, IntegrityError for another file than
    `sha256` promises, a truncated one, or one that would run code.
    """
    path = Path(config.weights)
    if not path.is_file():
        download(config.url, path)
    if config.sha256 is not None and files.sha256(path) != config.sha256:
        raise IntegrityError(
            f"{path} is not the file that codec.official.sha256 promises; "
            "fetch it again or correct params.yaml."
        )
    return read_official(path)


def read_official(path: Path) -> DacCodec:
    """A .pth file as upstream writes it; opened with weights_only, so that nothing in it can run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        shape = dict(found["metadata"]["kwargs"])
        state = dict(found["state_dict"])
    except Exception as e:  # torch raises many kinds for a bad file
        raise IntegrityError(
            f"{path} is not a weights file of descript-audio-codec: truncated, or a pickle that holds code "
            f"({type(e).__name__}); fetch it again."
        ) from e
    known = {k: _plain(shape[k]) for k in SHAPE_KEYS if k in shape}
    return DacCodec(_built(known, state, path))


def download(url: str, path: Path) -> None:
    """Fetches `url` to `path`, whole or not at all, with progress on stderr."""
    from tqdm import tqdm

    try:
        with urllib.request.urlopen(url, timeout=30) as answer, files.atomic(path) as beside:
            size = int(answer.headers.get("Content-Length", 0)) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=path.name) as bar, open(beside, "wb") as f:
                while block := answer.read(1 << 20):
                    f.write(block)
                    bar.update(len(block))
    except (urllib.error.URLError, OSError, ValueError) as e:
        raise MissingInputError(
            f"{path} is missing and {url} cannot be fetched ({e}); download it elsewhere and put it at "
            f"{path}, or set codec.source to bundled."
        ) from e


def dac_random(
    seed: int, *, path: Path_ = "fast", precision: compute.Precision = "auto", **shape: Any
) -> DacCodec:
    """A codec with untrained weights, for tests and timings; by default of the official size.

    `shape`: keywords of upstream's DAC, such as encoder_dim (64) and decoder_dim (1536).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DacCodec(_library().DAC(**shape), path, precision)


def with_path(codec: DacCodec, path: Path_, precision: compute.Precision = "auto") -> DacCodec:
    """The same weights computed another way."""
    return DacCodec(codec.model, path, precision)


def _built(shape: dict[str, Any], state: dict[str, Tensor], path: Path) -> nn.Module:
    try:
        model = _library().DAC(**shape)
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

    It imports audiotools, which imports by name torchaudio and tensorboard, for effects and training logs
    that are not used here; the one is not installed, the other does not bear the protobuf that everything
    else needs. Empty modules stand in for them while the import runs, and only then.
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


def _plain(value: Any) -> Any:
    return [int(v) for v in value] if isinstance(value, list | tuple) else int(value)


def _hash(shape: dict[str, Any], state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(files.hash_json(shape).encode())
    for name in sorted(state):
        digest.update(f"{name} {list(state[name].shape)}".encode())
        digest.update(state[name].float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
