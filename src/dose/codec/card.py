"""MODEL_CARD.md of a fitted codec: what it was made of, how, and what it scores."""

from pathlib import Path
from typing import Any

from dose import files

TEXT = """# Compact drum codec

Id `{id}`; {K} codebooks of {N} entries, hop {hop} at {rate} Hz, {kbps:.2f} kb/s; {megabytes:.1f} MB, SHA-256
`{digest}`.

Turns mono drum sounds and mixes into tokens and back. How it works: docs/codec.md.

## Made of

{material}

Licences: the bundled bank is CC0, CC-BY 3.0 and 4.0, and MIT (attributions in the NOTICE files beside the
bank); the synthetic drums are this project's own. The weights hold averages of spectral frames; no recording
can be played back from them.

## How

{how}

## Scores

On the test split, which the fit never saw; `dose bench codec` prints this from the shipped file.

{table}

## Limits

Above 3.7 kHz the sound is noise of the right level in each band and moment, not the waveform: steady high
tones become breathy, and SI-SDR, which prefers silence to noise, is low for hats and bright snares. Made for
drums and mixes with drums, not for speech or mastering.
"""


def write_card(folder: Path, figures: dict[str, Any], table: str) -> None:
    """Writes `folder`/MODEL_CARD.md from codec.json (with its `made` section, where it was fitted here)."""
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
