"""What is compared: texts that are equal only where the values are equal to the last bit."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

Values = dict[str, str]


def digest(content: bytes) -> str:
    """The beginning of the SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()[:16]


def array(values: Any) -> str:
    """The digest of an array's or a tensor's type, shape and bytes."""
    if isinstance(values, torch.Tensor):
        if values.dtype == torch.bfloat16:  # numpy has no such type
            return "bfloat16 " + array(values.view(torch.int16))
        values = values.detach().cpu().numpy()
    values = np.ascontiguousarray(values)
    return f"{values.dtype.str}{list(values.shape)} {digest(values.tobytes())}"


def exact(value: Any) -> str:
    """A number or a text, exactly; an array as its digest."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return array(value)
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value)


def tensors(folder: Path) -> str:
    """The digest of all weights below a folder, whatever the names of the modules are."""
    import safetensors.torch

    found = [
        array(tensor)
        for path in sorted(folder.rglob("*.safetensors"))
        for tensor in safetensors.torch.load_file(path).values()
    ]
    return f"{len(found)} tensors {digest(' '.join(sorted(found)).encode())}"


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each file below a folder, by its relative path."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield path.relative_to(folder).as_posix(), path.read_bytes()
