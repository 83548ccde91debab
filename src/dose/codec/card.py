"""MODEL_CARD.md of a fitted codec: training data, method and scores."""

from pathlib import Path
from typing import Any

from dose import files

TEXT = """# Compact drum codec

Id `{id}`; {K} codebooks of {N} entries, hop {hop} at {rate} Hz, {kbps:.2f} kb/s; {megabytes:.1f} MB, SHA-256
`{digest}`.

Turns mono drum sounds and mixes into tokens and back. How it works: docs/codec.md.

## Training data

{material}

Licences: the bundled samples are CC0, CC-BY 3.0 and 4.0, and MIT (attributions in the NOTICE files beside
them); the synthetic drums are this project's own. The weights hold averages of spectral frames; no recording
can be reconstructed from them.

## Method

{how}

## Scores

On the test split, which the fit does not use; `dose bench codec` prints this from the shipped file.

{table}

## Limits

Above 3.7 kHz the decoder generates noise with the level of each band and moment, not the waveform: steady
high tones become breathy, and SI-SDR, which rates silence above noise, is low for hats and bright snares.
For drums and mixes with drums, not for speech or mastering.
"""


def write_card(folder: Path, figures: dict[str, Any], table: str) -> None:
    """Writes `folder`/MODEL_CARD.md from codec.json, whose `made` section describes data and method.

    `figures` are those of `dose bench codec`, `table` the same as Markdown.
    """
    meta = files.read_json(folder / "codec.json")
    made = meta.get("made") or {}
    weights = folder / meta["weights"]
    text = TEXT.format(
        **meta,
        kbps=figures["codecs"]["compact"]["bitrate"] / 1000,
        megabytes=weights.stat().st_size / 1e6,
        digest=files.sha256(weights),
        material=made.get("material", "Not recorded."),
        how=made.get("how", "Not recorded."),
        table=table,
    )
    with files.atomic(folder / "MODEL_CARD.md") as beside:
        beside.write_text(text)
