"""The licence of the models in service, for the page and `GET /state`."""

import functools

from dose.bundle import SHIPPED, open_bundle
from dose.errors import DoseError

SHIPPED_LICENCE = "MIT"  # docs/model-card.md


def licence_of(version: str) -> str:
    """MIT for the models that come with the package; empty for others, which are under their trainer's terms.

    A version is a digest of weights and calibration, so it identifies the shipped models wherever they lie.
    """
    return SHIPPED_LICENCE if version and version == _shipped_version() else ""


@functools.cache
def _shipped_version() -> str:
    try:
        return open_bundle(SHIPPED).version
    except DoseError:  # a package without models
        return ""
