"""Pretrained embedding networks from local weights: VGGish, CLAP, EnCodec. Nothing is downloaded here.

<weights>/vggish-10086976.pth        VGGish as converted by torchvggish
<weights>/clap/                      a CLAP folder as `save_pretrained` of transformers writes it
<weights>/encodec_24khz-d7cc33bc.th  EnCodec 24 kHz as published with the encodec package

A file `<name>.sha256` beside a file pins it; hex digits at the end of a published name are checked, too.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dose import audio, files
from dose.errors import IntegrityError, MissingInputError
from dose.metrics.embeddings import Embedder
from dose.metrics.latents import CodecEmbedder

VGGISH_FILE, CLAP_FOLDER, ENCODEC_FILE = "vggish-10086976.pth", "clap", "encodec_24khz-d7cc33bc.th"


def load_embedders(names: Sequence[str], weights: Path, codec) -> tuple[list[Embedder], dict[str, str]]:
    """The embedders that can be had, and for each of the others the sentence that says what is missing."""
    found: list[Embedder] = []
    lacking: dict[str, str] = {}
    for name in names:
        if name == "codec":
            found.append(CodecEmbedder(codec))
            continue
        try:
            found.append(load(name, weights))
        except MissingInputError as e:
            lacking[name] = str(e)
    return found, lacking


def load(name: str, weights: Path) -> Embedder:
    """The embedder of that name. MissingInputError says which file to put where."""
    return _LOADERS[name](weights)


def _vggish(weights: Path) -> Embedder:
    import torch

    from dose.metrics.vggish import VGGish, VGGishEmbedder

    path = _present(weights / VGGISH_FILE)
    net = VGGish()
    _fill(net, torch.load(path, map_location="cpu", weights_only=True), path)
    return VGGishEmbedder(net, files.sha256(path)[:16])


class ClapEmbedder:
    """Shots [B, 44100] -> [B, 1, 512]: CLAP's audio projection at 48 kHz, through transformers."""

    name = "clap"

    def __init__(self, model, extractor, digest: str) -> None:
        self.model, self.extractor, self.id = model.eval(), extractor, f"clap-{digest}"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        import torch

        rate = self.extractor.sampling_rate
        sounds = [audio.resample(shot, audio.RATE, rate) for shot in shots]
        inputs = self.extractor(sounds, sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            out = self.model.get_audio_features(**inputs)
        pooled = out if isinstance(out, torch.Tensor) else out.pooler_output
        return pooled.float().numpy()[:, None]


def _clap(weights: Path) -> Embedder:
    folder = weights / CLAP_FOLDER
    _present(folder / "config.json")
    # transformers is large; only a user with CLAP's weights waits for it
    from transformers import ClapFeatureExtractor, ClapModel

    digests = [files.sha256(p) for p in sorted(folder.iterdir()) if p.suffix in (".safetensors", ".json")]
    try:
        model = ClapModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        extractor = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as e:
        raise IntegrityError(
            f"{folder} is not a whole CLAP folder ({type(e).__name__}); save it again."
        ) from e
    return ClapEmbedder(model, extractor, files.hash_json(digests))


class EncodecEmbedder:
    """Shots [B, 44100] -> [B, 8, 128]: EnCodec's encoder at 24 kHz, the mean over each eighth of the shot."""

    name = "encodec"

    def __init__(self, model, digest: str) -> None:
        self.model, self.id = model.eval(), f"encodec-{digest}-mean8"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        import torch

        sounds = np.stack([audio.resample(shot, audio.RATE, self.model.sample_rate) for shot in shots])
        with torch.inference_mode():
            latents = self.model.encoder(torch.from_numpy(sounds)[:, None])
        return torch.stack([part.mean(dim=-1) for part in latents.tensor_split(8, dim=-1)], dim=1).numpy()


def _encodec(weights: Path) -> Embedder:
    path = _present(weights / ENCODEC_FILE)
    import torch

    from dose.metrics.fad_package import absent

    with absent("torchaudio"):
        from encodec import EncodecModel

    model = EncodecModel.encodec_model_24khz(pretrained=False)
    _fill(model, torch.load(path, map_location="cpu", weights_only=True), path)
    return EncodecEmbedder(model, files.sha256(path)[:16])


_LOADERS: dict[str, Callable[[Path], Embedder]] = {"vggish": _vggish, "clap": _clap, "encodec": _encodec}


def _present(path: Path) -> Path:
    """Raises MissingInputError when it is absent, IntegrityError when its name or pin promises another."""
    if not path.is_file():
        raise MissingInputError(f"no weights: {path} is missing; put the published file there.")
    pin = path.with_name(path.name + ".sha256")
    promised = pin.read_text().split()[0] if pin.is_file() else ""
    named = re.search(r"-([0-9a-f]{8})\.th$", path.name)  # torch.hub's rule: the hash's first digits
    digest = files.sha256(path) if promised or named else ""
    if (promised and digest != promised) or (named and not digest.startswith(named.group(1))):
        raise IntegrityError(f"{path} has another SHA-256 than promised ({digest}); fetch it again.")
    return path


def _fill(net, state, path: Path) -> None:
    try:
        net.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as e:
        raise IntegrityError(f"{path} does not hold this network's weights; fetch it again.") from e
