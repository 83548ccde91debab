"""A kit bundle: one folder with everything that extraction needs, checked before it is used.

bundle.json     version, drums, codec and data ids, time of creation, scores, calibration
codec/          as data/codec: weights and codec.json
transcription/  as data/transcription; older bundles have none and take the package's own
kick/ ...       one checkpoint per drum: safetensors and model.json
manifest.json   the SHA-256 of every file

Format 2 of bundle.json differs from format 1 only in names inside `calibration`. Both are read, but
`dose.extract.confidence.from_json` leaves out a calibration of format 1: it was fitted to other features.
"""

import dataclasses
import datetime
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dose import files
from dose.drums import DRUMS
from dose.errors import IntegrityError, MissingInputError

FORMAT = 2  # of bundle.json, as written
READABLE_FORMATS = (1, 2)
PACKAGED = Path("data/package/bundle")  # output of the package stage
LIVE = Path("data/registry/live")  # the registry's link to a bundle of the champions
TRANSCRIPTION = Path(__file__).parents[1] / "transcription" / "bundled"  # the package's own network
SHIPPED = Path(__file__).parent / "models"  # the models of the installed package


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """bundle.json of a bundle whose files have been checked."""

    folder: Path
    version: str
    drums: tuple[str, ...]
    codec_id: str
    data_id: str
    created: str  # ISO 8601, UTC
    metrics: Mapping[str, Any]  # scores, as given to `assemble`; for information only
    calibration: Mapping[str, Any]  # drum -> result of dose.extract.calibrate; empty for none

    @property
    def codec(self) -> Path:
        return self.folder / "codec"

    @property
    def transcription(self) -> Path:
        """The folder of the transcription network."""
        return self.own_transcription or TRANSCRIPTION

    @property
    def own_transcription(self) -> Path | None:
        """The same, None where the bundle takes the package's: copies of it then have the same version."""
        own = self.folder / "transcription"
        return own if own.is_dir() else None

    def checkpoint(self, drum: str) -> Path:
        """The folder of one drum's model; MissingInputError when the bundle has none."""
        if drum not in self.drums:
            raise MissingInputError(
                f"The bundle {self.folder} has no model for '{drum}'; it has {', '.join(self.drums)}."
            )
        return self.folder / drum


def assemble(
    out: Path | str,
    *,
    codec: Path | str,
    checkpoints: Mapping[str, Path | str],
    transcription: Path | str | None = None,
    version: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    created: str | None = None,
) -> Bundle:
    """Copies a codec folder, checkpoints (drum -> folder) and a transcription network into the bundle `out`.

    The bundle appears whole or not at all. Without a network of its own it takes the package's.
    `version` defaults to a digest of weights and calibration, so that equal bundles have equal versions.
    Raises MissingInputError for an absent folder, IntegrityError when a model was trained on another codec.
    """
    unknown = sorted(set(checkpoints) - set(DRUMS))
    if unknown or not checkpoints:
        raise MissingInputError(
            f"A bundle needs checkpoints for some of {', '.join(DRUMS)}, not {unknown or 'none'}."
        )
    drums = [drum for drum in DRUMS if drum in checkpoints]
    # Written beside and renamed, so that a service never opens half a bundle.
    with files.atomic(out) as beside:
        beside.mkdir()
        _copy(Path(codec), beside / "codec")
        if transcription is not None:
            _copy(Path(transcription), beside / "transcription")
        for drum in drums:
            _copy(Path(checkpoints[drum]), beside / drum)
        # Checked before the version is computed: a bundle of two codecs gets none.
        models = {drum: _check_model(beside, drum) for drum in drums}
        description = {
            "format": FORMAT,
            "version": version or _version(beside, calibration or {}),
            "drums": drums,
            "codec_id": _codec_id(beside),
            "data_id": "+".join(sorted({str(m.get("data_id", "unknown")) for m in models.values()})),
            "created": created or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "metrics": dict(metrics or {}),
            "calibration": dict(calibration or {}),
        }
        files.write_json(beside / "bundle.json", description)
        files.write_manifest(beside)
    return open_bundle(out)


def open_bundle(folder: Path | str) -> Bundle:
    """Reads and checks a bundle: every file against the manifest, every model against the codec.

    Raises MissingInputError when there is none, IntegrityError naming the file that does not fit.
    """
    folder = Path(folder)
    if not (folder / "bundle.json").is_file():
        raise MissingInputError(
            f"{folder} is not a kit bundle (it has no bundle.json); make one with `dvc repro package`."
        )
    # First the bytes, then what they say: a damaged file is named as such.
    files.check_manifest(folder)
    description = files.read_json(folder / "bundle.json")
    names = {f.name for f in dataclasses.fields(Bundle)} - {"folder"}
    if description.pop("format", None) not in READABLE_FORMATS or set(description) != names:
        raise IntegrityError(
            f"{folder / 'bundle.json'} is of another version of DOSE; make the bundle again with this one."
        )
    bundle = Bundle(folder=folder, **{**description, "drums": tuple(description["drums"])})
    for drum in bundle.drums:
        _check_model(folder, drum)
    if _codec_id(folder) != bundle.codec_id:
        raise IntegrityError(f"{folder / 'codec'} is not the codec that bundle.json names; make it again.")
    return bundle


def recalibrate(folder: Path | str, calibration: Mapping[str, Any]) -> Bundle:
    """Replaces a bundle's calibration in place, manifest included; the weights stay.

    A version that is a digest changes too, since the same models now give other confidences. A version that
    was set by hand stays.
    """
    folder = Path(folder)
    before = open_bundle(folder)
    description = files.read_json(folder / "bundle.json")
    description |= {"format": FORMAT, "calibration": dict(calibration)}
    # A digest, with or without the calibration, marks a version that was not set by hand.
    if before.version in (_version(folder, before.calibration), _version(folder, {})):
        description["version"] = _version(folder, calibration)
    files.write_json(folder / "bundle.json", description)
    files.write_manifest(folder)
    return open_bundle(folder)


def in_use(root: Path = Path()) -> Path:
    """The folder of the models in use: the registry's champions, else the project's own, else the shipped."""
    # A project's own models win over the shipped ones; champions win over the last package.
    own = (root / LIVE, root / PACKAGED)
    return next((folder for folder in own if (folder / "bundle.json").is_file()), SHIPPED)


def default_bundle() -> Path:
    """The bundle used when none is named; raises MissingInputError where there is none at all."""
    folder = in_use()
    if not (folder / "bundle.json").is_file():
        raise MissingInputError(
            f"There are no models: neither {LIVE} nor {PACKAGED} here nor any shipped with the package; "
            "run `make demo` (or `dvc repro package`), or name a bundle with --bundle."
        )
    return folder


def named(name: str) -> Path:
    """A bundle argument of the command line: the word `shipped`, or a path."""
    return SHIPPED if name == "shipped" else Path(name)


def model_facts(folder: Path | str) -> dict[str, Any]:
    """The `meta` part of a checkpoint's model.json, read without loading torch."""
    path = Path(folder) / "model.json"
    meta = files.read_json(path).get("meta")
    if not isinstance(meta, dict):
        raise IntegrityError(f"{path} has no 'meta' section that describes the model; make the model again.")
    return meta


def _copy(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise MissingInputError(f"{source} is missing; run the stage that makes it (`dvc repro`).")
    shutil.copytree(source, target)


def _weights(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in (".safetensors", ".pth"))


def _version(folder: Path, calibration: Mapping[str, Any]) -> str:
    """A digest of all that results depend on: weights, and calibration if there is one."""
    # Weights only: metadata such as dates does not change any result.
    contents: dict[str, Any] = {p.relative_to(folder).as_posix(): files.sha256(p) for p in _weights(folder)}
    if calibration:
        contents["calibration"] = dict(calibration)
    return f"dose-{files.hash_json(contents)[:10]}"


def _codec_id(folder: Path) -> str:
    return str(files.read_json(folder / "codec" / "codec.json")["id"])


def _check_model(folder: Path, drum: str) -> dict[str, Any]:
    """The `meta` part of one drum's model.json; IntegrityError for a model of another drum or codec."""
    model = model_facts(folder / drum)
    if model.get("codec_id") != _codec_id(folder):
        raise IntegrityError(
            f"The {drum} model was trained on codec {model.get('codec_id')}, "
            f"but the bundle holds codec {_codec_id(folder)}; train it again or take its own codec."
        )
    if model.get("drum") != drum:
        raise IntegrityError(f"The model offered as {drum} was trained for {model.get('drum')}.")
    return model
