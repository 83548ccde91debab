"""A kit that the service extracted: its one-shots, its groove, and how its files are fetched and saved."""

import base64
import dataclasses
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from dose.errors import DoseError


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemoteOneShot:
    """One candidate; `wav` is a whole WAV file."""

    drum: str
    file: str
    confidence: float
    detected: bool  # whether the drum is in the mix
    time: float  # seconds: onset in the source
    seed: int
    source_energy_ratio: float  # 0..1: share of its energy taken from the source; the rest is generated
    wav: bytes = dataclasses.field(repr=False)

    @property
    def present(self) -> bool:
        """Deprecated: the former name of `detected`."""
        return self.detected

    @property
    def borrowed(self) -> float:  # old name
        """Deprecated: the former name of `source_energy_ratio`."""
        return self.source_energy_ratio


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RemoteKit:
    """The result of an extraction: drum -> candidates, best first."""

    version: str  # of the models
    hits: dict[str, tuple[RemoteOneShot, ...]]
    # Hits, beats, tempo, metre, swing and typical bar of the source, as the service documents them.
    groove: dict[str, Any] | None
    fetch: Callable[[str], bytes]  # kit formats, separated by commas -> the kit as a ZIP
    source: Path | None = None  # the file that was sent, which no saved kit may replace

    def __repr__(self) -> str:
        """Short, since the sounds are megabytes."""
        return f"RemoteKit({self.version}: {', '.join(f'{d} x {len(h)}' for d, h in self.hits.items())})"

    def midi(self, timing: Literal["played", "quantised"] = "played") -> bytes:
        """The groove as a MIDI file: the hits of all drums, as they were played or on the sixteenth grid.

        Raises DoseError where the kit has no such file: no hits, or no steady beat to quantise to.
        """
        files = self._files("wav")
        # NAME.mid and NAME-quantised.mid: whatever the name, the longer one is the quantised one.
        names = sorted((name for name in files if name.endswith(".mid")), key=len)
        index = ("played", "quantised").index(timing)
        if index >= len(names):
            raise DoseError(
                f"The kit has no MIDI file of its hits as {timing}; `groove` says what was found."
            )
        return files[names[index]]

    def save(self, folder: str | os.PathLike[str], format: str = "wav") -> list[Path]:
        """Writes the kit into `folder`, replacing a kit that is there, as `dose extract` does.

        `format`: one of `Client.formats`, or several separated by commas. Raises Occupied where other files
        would be overwritten.
        """
        from dose.kits.folder import put

        return put(Path(folder), self._files(format), [self.source] if self.source else [])

    def _files(self, format: str) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.fetch(format))) as archive:
            # Only the base name: a file from the network must not choose its folder.
            return {Path(name).name: archive.read(name) for name in archive.namelist()}


def parse_kit(
    response: dict[str, Any], fetch: Callable[[str], bytes], source: str | os.PathLike[str] | bytes
) -> RemoteKit:
    """The kit of a response; `fetch` as in `RemoteKit`, `source` is what was sent."""
    # The response may have more fields than this client knows.
    names = [field.name for field in dataclasses.fields(RemoteOneShot) if field.name not in ("drum", "wav")]
    hits = {
        drum: tuple(
            RemoteOneShot(
                drum=drum, wav=base64.b64decode(row["audio"]), **{name: row[name] for name in names}
            )
            for row in rows
        )
        for drum, rows in response["drums"].items()
    }
    path = None if isinstance(source, bytes) else Path(source)
    return RemoteKit(
        version=response["version"],
        hits=hits,
        groove=response.get("groove"),  # services of before have none
        fetch=fetch,
        source=path,
    )
