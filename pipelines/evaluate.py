"""The evaluate stage: every row of the table on every data set -> data/evaluate."""

from pathlib import Path

from dose import config
from dose.evaluate.config import EvaluateConfig
from pipelines.stage import run_stage

OUT, CACHE = Path("data/evaluate"), Path("data/cache/evaluate")
CODEC, RMOD, SWEEP = Path("data/codec"), Path("data/rmod"), Path("data/sweep")
SOURCES = Path("data/sources")


def main() -> None:
    settings = config.load("evaluate", EvaluateConfig)

    from dose.codec import load_codec
    from dose.evaluate import project, session
    from dose.evaluate.progress import show

    codec = load_codec(CODEC)
    datasets = session.load_datasets(settings, RMOD)
    with show() as progress:
        systems, lacking = project.systems(
            settings, codec=codec, codec_folder=CODEC, sweep=SWEEP, cache=CACHE
        )
        judges = project.judges(SOURCES)
        recordings = project.recordings() if settings.recordings else []
        entries = session.generate_all(systems, {**datasets, "recordings": recordings}, CACHE, progress)
        shown = (recordings, entries.pop("recordings", []))
        session.score_all(
            settings,
            datasets,
            entries,
            codec,
            judges,
            OUT,
            cache=CACHE,
            lacking=lacking,
            recordings=shown,
            progress=progress,
        )
    print((OUT / "table.md").read_text())
    print(f"listening page: {OUT / 'listening.html'}")


if __name__ == "__main__":
    run_stage(main)
