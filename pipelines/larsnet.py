"""Stage larsnet: trains small LarsNet networks on RMOD's stems, into data/larsnet; resumes."""

import time
from collections.abc import Iterator
from pathlib import Path

from dose import config, files
from dose.baselines.larsnet_train import Example, LarsNetConfig, train
from dose.rmod import RmodConfig, stream
from dose.sources.library import SampleLibrary
from pipelines.stage import run_stage

REPORT_EVERY = 20  # steps
OUT, SOURCES = Path("data/larsnet"), Path("data/sources")


def main() -> None:
    settings = config.load("larsnet", LarsNetConfig)
    rmod = config.load("rmod", RmodConfig)
    library = SampleLibrary.load(SOURCES)

    def examples(split: str, start: int, stop: int) -> Iterator[Example]:
        for item in stream(rmod, library, split, start, stop, stems=True):
            assert item.stems is not None  # asked for by stems=True
            yield item.mix, item.stems

    def report(step: int, losses: dict[str, float]) -> None:
        if step % REPORT_EVERY == 0 or step == settings.steps:
            text = ", ".join(f"{stem} {loss:.4f}" for stem, loss in losses.items())
            print(f"larsnet: step {step} of {settings.steps}: loss {text}", flush=True)

    start = time.process_time()
    # A saved state is resumed only for the same library, ranges and settings.
    data_id = files.hash_json([library.id, rmod])
    for stem, scores in train(settings, examples, OUT, data_id, report).items():
        print(
            f"larsnet: {stem}: SDR {scores['sdr']:.2f} dB ({scores['sdr_gain']:+.2f} over the mix's), "
            f"scale-invariant {scores['si_sdr']:.2f} dB ({scores['si_sdr_gain']:+.2f})"
        )
    print(f"larsnet: {time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    run_stage(main)
