"""The authors' weights of descript-audio-codec: a local file, or downloaded once."""

import urllib.error
import urllib.request
from pathlib import Path

import torch

from dose import files
from dose.codec.config import OfficialConfig
from dose.codec.dac import SHAPE_KEYS, DacCodec, build, plain_value
from dose.errors import IntegrityError, MissingInputError

DOWNLOAD_BLOCK = 1 << 20  # bytes


def official_codec(config: OfficialConfig) -> DacCodec:
    """The codec with the authors' weights; they are downloaded to `config.weights` if that file is absent.

    Raises MissingInputError when there is neither file nor network, IntegrityError for a file with another
    hash than `sha256`, a truncated one, or one that would run code.
    """
    path = Path(config.weights)
    if not path.is_file():
        download(config.url, path)
    if config.sha256 is not None and files.sha256(path) != config.sha256:
        raise IntegrityError(
            f"{path} does not have the hash codec.official.sha256; fetch it again or correct params.yaml."
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
    known = {k: plain_value(shape[k]) for k in SHAPE_KEYS if k in shape}
    return DacCodec(build(known, state, path))


def download(url: str, path: Path) -> None:
    """Fetches `url` to `path`, whole or not at all, with progress on stderr."""
    from tqdm import tqdm

    try:
        with urllib.request.urlopen(url, timeout=30) as response, files.atomic(path) as beside:
            size = int(response.headers.get("Content-Length", 0)) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=path.name) as bar, open(beside, "wb") as f:
                while block := response.read(DOWNLOAD_BLOCK):
                    f.write(block)
                    bar.update(len(block))
    except (urllib.error.URLError, OSError, ValueError) as e:
        raise MissingInputError(
            f"{path} is missing and {url} cannot be fetched ({e}); download it elsewhere and put it at "
            f"{path}, or set codec.source to bundled."
        ) from e
