"""DOSE: drum one-shot extraction from finished mixes (ICASSP 2025, arXiv 2504.18157).

`dose.Extractor` and `dose.Kit` are the Python API (`dose.api`); it raises `dose.DoseError` for users' errors.
"""

import importlib
from typing import Any

# Imported only when asked for: every stage, worker and `dose --help` imports this package, and torch takes
# seconds. __init__.pyi tells type checkers what they are.
_EXPORTS = {"Extractor": "dose.api.extractor", "Kit": "dose.api.kit", "DoseError": "dose.errors"}


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("dose")
        except metadata.PackageNotFoundError:  # source without an installation, as inside a Bento
            return "unknown"
    raise AttributeError(f"module 'dose' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *_EXPORTS, "__version__"]
