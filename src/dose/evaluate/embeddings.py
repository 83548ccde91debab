"""Pretrained embedding networks from local weight files, and a cache of embeddings. Nothing is downloaded.

<weights>/vggish-10086976.pth        VGGish as converted by torchvggish
<weights>/clap/                      a CLAP folder as `save_pretrained` of transformers writes it
<weights>/encodec_24khz-d7cc33bc.th  EnCodec 24 kHz as published with the encodec package

A file `<name>.sha256` beside a file pins it; hex digits at the end of a published name are checked, too.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dose import files
from dose.errors import DoseError, IntegrityError, MissingInputError
from dose.evaluate.config import CLAP_FOLDER, ENCODEC_FILE, VGGISH_FILE
from dose.metrics.embeddings import ClapEmbedder, CodecEmbedder, Embedder, EncodecEmbedder

if TYPE_CHECKING:
    from torch import nn

    from dose.codec.codec import Codec


def load_embedders(
    names: Sequence[str], weights: Path, codec: "Codec"
) -> tuple[list[Embedder], dict[str, str]]:
    """The available embedders, and {name: what is missing} of the others."""
    available: list[Embedder] = []
    unavailable: dict[str, str] = {}
    for name in names:
        if name == "codec":
            available.append(CodecEmbedder(codec))
            continue
        try:
            available.append(load(name, weights))
        except MissingInputError as e:
            unavailable[name] = str(e)
    return available, unavailable


def load(name: str, weights: Path) -> Embedder:
    """The embedder "vggish", "clap" or "encodec".

    Raises MissingInputError, which names the file to add, and IntegrityError for a file that does not fit.
    """
    return _LOADERS[name](weights)


def embed_cached(embedder: Embedder, shots: np.ndarray, cache: Path | None, *, batch: int = 32) -> np.ndarray:
    """[n, 44100] -> float32 [n, W, D]; stored in `cache` under the hash of the audio and the embedder's id.

    Raises DoseError when the network yields values that are not finite.
    """
    shots = np.ascontiguousarray(shots, dtype=np.float32)
    digest = hashlib.sha256(shots.tobytes()).hexdigest()[:24]
    path = (
        None if cache is None else cache / f"{embedder.name}-{files.hash_json(embedder.id)}" / f"{digest}.npy"
    )
    if path is not None and path.is_file():
        cached: np.ndarray = np.load(path)
        return cached
    # In batches, which bounds the memory of the networks' activations.
    out = np.concatenate([embedder.embed(shots[i : i + batch]) for i in range(0, len(shots), batch)])
    if not np.isfinite(out).all():
        raise DoseError(f"The {embedder.name} network yields values that are not finite; check its weights.")
    out = out.astype(np.float32)
    if path is not None:
        with files.atomic(path) as beside:
            np.save(beside, out)
    return out


def _vggish(weights: Path) -> Embedder:
    import torch

    from dose.metrics.vggish import VGGish, VGGishEmbedder

    path = _checked_file(weights / VGGISH_FILE)
    net = VGGish()
    _load_state(net, torch.load(path, map_location="cpu", weights_only=True), path)
    return VGGishEmbedder(net, files.sha256(path)[:16])


def _clap(weights: Path) -> Embedder:
    folder = weights / CLAP_FOLDER
    _checked_file(folder / "config.json")
    # transformers takes seconds to import: only where CLAP's weights are present.
    from transformers import ClapFeatureExtractor, ClapModel

    digests = [files.sha256(p) for p in sorted(folder.iterdir()) if p.suffix in (".safetensors", ".json")]
    try:
        model = ClapModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        feature_extractor = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as e:
        raise IntegrityError(f"{folder} is not a complete CLAP folder ({type(e).__name__}).") from e
    return ClapEmbedder(model, feature_extractor, files.hash_json(digests))


def _encodec(weights: Path) -> Embedder:
    path = _checked_file(weights / ENCODEC_FILE)
    import torch

    from dose.metrics.fad_package import stub_modules

    with stub_modules("torchaudio"):
        from encodec.model import EncodecModel

    model = EncodecModel.encodec_model_24khz(pretrained=False)
    _load_state(model, torch.load(path, map_location="cpu", weights_only=True), path)
    return EncodecEmbedder(model, files.sha256(path)[:16])


_LOADERS: dict[str, Callable[[Path], Embedder]] = {"vggish": _vggish, "clap": _clap, "encodec": _encodec}


def _checked_file(path: Path) -> Path:
    """`path`; raises MissingInputError when absent, IntegrityError when its name or pin has another hash."""
    if not path.is_file():
        raise MissingInputError(f"no weights: {path} is missing; put the published file there.")
    pin_file = path.with_name(path.name + ".sha256")
    pin = pin_file.read_text().split()[0] if pin_file.is_file() else ""
    # torch.hub's convention: a file name ends in the first digits of the hash.
    in_name = re.search(r"-([0-9a-f]{8})\.th$", path.name)
    digest = files.sha256(path) if pin or in_name else ""
    if (pin and digest != pin) or (in_name and not digest.startswith(in_name.group(1))):
        raise IntegrityError(f"{path} has the SHA-256 {digest}, not the pinned one; fetch it again.")
    return path


def _load_state(net: "nn.Module", state: Any, path: Path) -> None:
    try:
        net.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as e:
        raise IntegrityError(f"{path} does not hold this network's weights; fetch it again.") from e
