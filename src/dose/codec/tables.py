"""Reads a codec's weights: a safetensors file of a plausible size, never a pickle."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dose.errors import IntegrityError, MissingInputError

MAX_BYTES = 64 << 20  # the shipped compact codec has 3.3 MB


def read_tables(path: Path, limit: int = MAX_BYTES) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises as `load_codec` does; never runs code from the file."""
    if not path.is_file():
        raise MissingInputError(
            f"{path} is missing; run the codec stage (`dvc repro codec`) or fetch it again."
        )
    if path.stat().st_size > limit:
        raise IntegrityError(f"{path} is larger than such a codec can be ({limit >> 20} MiB).")
    # The first bytes of a zip (torch.save) and of pickle protocols 2 to 5.
    with open(path, "rb") as f:
        start = f.read(2)
    if start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise IntegrityError(
            f"{path} is a pickle, which can run code when opened; codec weights must be safetensors."
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as e:
        raise IntegrityError(f"{path} is truncated or not a safetensors file ({e}); fetch it again.") from e
