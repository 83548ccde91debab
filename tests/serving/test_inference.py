"""The stages that a real extractor reports are those that the service documents."""

import tiny_bundle
from song import song

from dose.audio import RATE
from dose.drums import DRUMS
from dose.extract.extractor import Extractor
from serving.inference import DECODE, STAGES


def test_the_extractor_reports_every_documented_stage_in_order(tmp_path):
    reported: list[str] = []
    extractor = Extractor.load(tiny_bundle.make(tmp_path))
    extractor.extract(song(1.0), RATE, drums=DRUMS, progress=lambda fraction, stage: reported.append(stage))
    assert tuple(dict.fromkeys(reported)) == tuple(stage for stage in STAGES if stage != DECODE)
