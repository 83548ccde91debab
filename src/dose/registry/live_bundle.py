"""The bundle in service: the champions of all drums assembled into one folder, and the link `live` to it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from dose.bundle import LIVE, Bundle, assemble, open_bundle
from dose.drums import DRUMS
from dose.registry.names import model_name


class ModelSource(Protocol):
    """Where model versions are downloaded from: `dose.tracking.Tracker`."""

    def download(self, name: str, version: int, to: Path) -> None: ...


class LiveBundle:
    """Local copies of model versions in `home`/versions, bundles of them in `home`/bundles, and the link."""

    def __init__(self, source: ModelSource, root: Path) -> None:
        self.source = source
        self.link = root / LIVE
        self.home = self.link.parent

    def fetch(self, drum: str, version: int) -> Bundle:
        """The bundle of one version, downloaded unless there is a local copy."""
        folder = self.home / "versions" / model_name(drum) / str(version)
        # Folders appear whole or not at all, so that the manifest marks a complete copy.
        if not (folder / "manifest.json").is_file():
            self.source.download(model_name(drum), version, folder)
        return open_bundle(folder)

    def assemble(self, champions: Mapping[str, int]) -> Path:
        """The folder of the bundle that holds these versions; assembled once per combination.

        Raises IntegrityError where they do not share a codec.
        """
        # In the order of DRUMS, which gives each combination one name.
        bundles = {d: self.fetch(d, champions[d]) for d in DRUMS if d in champions}
        target = self.home / "bundles" / "-".join(f"{d}{champions[d]}" for d in bundles)
        if not (target / "manifest.json").is_file():
            assemble(
                target,
                # Any of them: `assemble` raises where a model's codec differs.
                codec=next(iter(bundles.values())).codec,
                # One network serves all drums: the one that the newest model was trained with.
                transcription=max(bundles.values(), key=lambda b: b.created).own_transcription,
                checkpoints={d: b.checkpoint(d) for d, b in bundles.items()},
                metrics={k: v for b in bundles.values() for k, v in b.metrics.items()},
                calibration={k: v for b in bundles.values() for k, v in b.calibration.items()},
            )
        return target

    def switch_to(self, target: Path) -> None:
        """Points the link at `target` by a rename: a reader finds the old bundle or the new, never none."""
        beside = self.home / ".live"
        beside.unlink(missing_ok=True)
        # Relative, so that the project's folder can be moved.
        beside.symlink_to(target.relative_to(self.home))
        os.replace(beside, self.link)
