"""From a song to one-shots: the same `Extractor` that the lab scores and the service runs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.extract.extractor import Extractor as Extractor
    from dose.extract.result import Kit as Kit
    from dose.extract.result import OneShot as OneShot


def __getattr__(name: str) -> Any:
    """Extractor, OneShot and Kit on first use: bundles and finishing are of use without torch."""
    if name == "Extractor":
        from dose.extract.extractor import Extractor

        return Extractor
    if name in ("OneShot", "Kit"):
        from dose.extract import result

        return getattr(result, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
