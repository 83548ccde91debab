"""`bentoml serve fake_service:Dose`: the real service, a stand-in extractor (FAKE_SECONDS slows it)."""

import os

from fake_extractor import FakeExtractor

import serving.models.manager

serving.models.manager.load_extractor = lambda folder: FakeExtractor(
    float(os.environ.get("FAKE_SECONDS", "0"))
)

from serving.service import Dose  # noqa: E402

__all__ = ["Dose"]
