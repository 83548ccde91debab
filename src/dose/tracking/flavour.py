"""MLflow's pyfunc flavour: what makes the files of a registered model loadable by `mlflow.pyfunc`."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

CONTENT = "content"  # the model's own files, beside MLmodel


@dataclasses.dataclass(frozen=True, kw_only=True)
class PyfuncFlavour:
    """How a model is loaded and called: float32 arrays in and out, of which -1 is a size of any value."""

    loader: str  # a module whose `_load_pyfunc(path)` opens the files: no code is pickled
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    params: Mapping[str, int]  # of `predict`, with their defaults


@contextlib.contextmanager
def packed(folder: Path, flavour: PyfuncFlavour | None) -> Iterator[Path]:
    """`folder` as an MLflow model, in a folder beside it that goes afterwards; itself without a flavour."""
    if flavour is None:
        yield folder
        return
    # A name that depends on the folder's alone: what a killed process left is replaced.
    out = folder.with_name(f".{folder.name}.mlflow")
    shutil.rmtree(out, ignore_errors=True)
    try:
        _write(folder, flavour, out)
        yield out
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _write(folder: Path, flavour: PyfuncFlavour, out: Path) -> None:
    import numpy as np
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    number = np.dtype("float32")
    signature = ModelSignature(
        inputs=Schema([TensorSpec(number, flavour.input_shape)]),
        outputs=Schema([TensorSpec(number, flavour.output_shape)]),
        params=ParamSchema([ParamSpec(name, DataType.long, value) for name, value in flavour.params.items()]),
    )
    model = Model(signature=signature)
    pyfunc.add_to_model(model, loader_module=flavour.loader, data=CONTENT)
    shutil.copytree(folder, out / CONTENT)
    model.save(str(out / "MLmodel"))


def content(folder: Path) -> Path:
    """The model's own files in a downloaded version; older versions have no flavour."""
    return folder / CONTENT if (folder / CONTENT).is_dir() else folder
