"""The listening page of an evaluation.

Cases are chosen by rule, never by listening: for every data set and drum the items with the lowest, the
median and the highest MSS of the leading system.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dose import audio, files
from dose.drums import DRUMS
from dose.errors import AudioError
from dose.evaluate.datasets import Item, read_outputs
from dose.evaluate.page.document import Document
from dose.evaluate.results import Results, SystemOutputs
from dose.evaluate.table import TITLES

MAX_BYTES = 15_000_000  # bound of the page's size, checked by a test; a default without a study
RECORDING_SECONDS = 12
LEAD = (
    "Press a card to play it, press again to stop. Every one-shot is scaled to the same peak. "
    "Cases are selected by rule: lowest, median and highest MSS of the system “{system}” in each data set. "
    "Spectrograms: 50 Hz to 20 kHz, 80 dB."
)


def write_page(
    results: Results,
    datasets: dict[str, Sequence[Item]],
    outputs: dict[str, Sequence[SystemOutputs]],
    path: Path,
    *,
    title: str = "DOSE: listening page",
) -> None:
    """Writes the page; of data sets without references it shows every item."""
    page = Document()
    leading = leading_system([s.name for systems in outputs.values() for s in systems])
    for dataset, items in datasets.items():
        if any(item.shots for item in items):
            _add_dataset(page, results, dataset, items, outputs[dataset], leading)
        else:
            _add_recordings(page, dataset, items, outputs[dataset])
    text = page.render(title, f"{results.about} {LEAD.format(system=leading)}".strip())
    with files.atomic(path) as beside:
        beside.write_text(text, encoding="utf-8")


def leading_system(systems: Sequence[str]) -> str:
    """The system whose scores select the cases: DOSE where there is one, else the last."""
    return "DOSE" if "DOSE" in systems else systems[-1]


def select_cases(scores: np.ndarray) -> dict[str, int]:
    """[n] -> {"best", "median", "worst"}: positions of those finite scores, without repetition."""
    # A stable sort: equal scores keep the items' order, so that the page is reproducible.
    order = np.argsort(scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    if len(order) == 0:
        return {}
    cases = {"best": int(order[0]), "median": int(order[(len(order) - 1) // 2]), "worst": int(order[-1])}
    return {name: i for k, (name, i) in enumerate(cases.items()) if i not in list(cases.values())[:k]}


def _add_dataset(
    page: Document,
    results: Results,
    dataset: str,
    items: Sequence[Item],
    systems: Sequence[SystemOutputs],
    leading: str,
) -> None:
    page.section(dataset, TITLES.get(dataset, dataset))
    for drum in DRUMS:
        leading_scores = results.item_scores.get((dataset, leading, drum))
        if leading_scores is None:
            continue
        for name, i in select_cases(leading_scores["mss"]).items():
            item = items[i]
            cards = [
                page.card("mix", item.read_mix(), mix=True),
                page.card("reference", item.read_reference(drum), reference=True),
            ]
            # Mix and reference first, then every system in the table's order.
            for system in systems:
                [output] = read_outputs(system.folder, [item], drum)
                scores = results.item_scores.get((dataset, system.name, drum))
                mss = scores["mss"][i] if scores else np.nan
                cards.append(
                    page.missing(system.name, "no output")
                    if isinstance(output, AudioError)
                    else page.card(system.name, output, f"MSS {mss:.3f}" if np.isfinite(mss) else "")
                )
            page.case(f"{drum}, {name} (item {item.index})", cards)


def _add_recordings(
    page: Document, dataset: str, items: Sequence[Item], systems: Sequence[SystemOutputs]
) -> None:
    note = "No references exist: compare by ear, or by the reference-free metrics."
    page.section(dataset, "Real recordings", note)
    for item in items:
        recording = item.read_mix()[:, : RECORDING_SECONDS * audio.RATE]
        cards = [page.card("recording", recording, mix=True)]
        for system in systems:
            for drum in DRUMS:
                [output] = read_outputs(system.folder, [item], drum)
                if not isinstance(output, AudioError):  # Reconstruction has no output without a reference
                    cards.append(page.card(f"{system.name}: {drum}", output))
        page.case(item.name or f"recording {item.index}", cards)
