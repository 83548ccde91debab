"""From a song to one-shots: `Extractor`, shared by evaluation, `dose extract` and the service."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.extract.extractor import Extractor as Extractor
    from dose.extract.result import Kit as Kit
    from dose.extract.result import OneShot as OneShot


def __getattr__(name: str) -> Any:
    """Imports Extractor, OneShot and Kit on first use: bundles and postprocessing need no torch."""
    if name == "Extractor":
        from dose.extract.extractor import Extractor

        return Extractor
    if name in ("OneShot", "Kit"):
        from dose.extract import result

        return getattr(result, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
