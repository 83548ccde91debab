"""From a song to one-shots: the same `Extractor` that the lab scores and the service runs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.extract.extractor import Extractor as Extractor
    from dose.extract.kit import Hit as Hit
    from dose.extract.kit import Kit as Kit


def __getattr__(name: str) -> Any:
    """Extractor, Hit and Kit on first use: bundles and finishing are of use without torch."""
    if name == "Extractor":
        from dose.extract.extractor import Extractor

        return Extractor
    if name in ("Hit", "Kit"):
        from dose.extract import kit

        return getattr(kit, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
