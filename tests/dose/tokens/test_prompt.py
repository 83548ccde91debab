"""Onset detection and prompts, on drums at known times in an otherwise quiet mix."""

import dataclasses
import itertools

import numpy as np
import pytest

from dose.audio import RATE
from dose.codec import bundled_codec
from dose.tokens import band_energies
from dose.tokens.prompt import PromptConfig, cut_segments, prompt_codes, prompts_of_all
from dose.transcription.onset import MIN_DISTANCE
from dose.transcription.onsets import find_onsets
from dose.transcription.transcribe import Activations, activations, bundled_network


def heard(mix: np.ndarray) -> Activations:
    return activations(mix, bundled_network())


def kick(n: int = 8000) -> np.ndarray:
    t = np.arange(n) / RATE
    return (np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t * 40)))) * np.exp(-t * 18)).astype(np.float32)


def hihat(n: int = 3000) -> np.ndarray:
    noise = np.diff(np.random.default_rng(0).standard_normal(n + 1), n=1)
    return (0.3 * noise * np.exp(-np.arange(n) / RATE * 90)).astype(np.float32)


def beat(offset: int = 0) -> tuple[np.ndarray, dict[str, list[int]]]:
    """4 s with kicks and hi-hats apart from each other, and where they are."""
    mix = 0.001 * np.random.default_rng(1).standard_normal(4 * RATE).astype(np.float32)
    places = {"kick": [20000, 70000, 120000], "hihat": [45000, 95000, 150000]}
    for name, sound in (("kick", kick()), ("hihat", hihat())):
        places[name] = [p + offset for p in places[name]]
        for p in places[name]:
            mix[p : p + len(sound)] += sound
    return mix, places


@pytest.mark.parametrize("drum", ["kick", "hihat"])
@pytest.mark.parametrize("offset", [0, 77, 1000])
def test_clear_onsets_are_found_where_they_are(drum, offset):
    mix, places = beat(offset)
    found = sorted(h.start for h in find_onsets(heard(mix), drum, 3))
    assert len(found) == 3
    assert np.abs(np.array(found) - places[drum]).max() < 0.008 * RATE


def test_detection_is_deterministic_and_ignores_level():
    mix, _ = beat()
    first = find_onsets(heard(mix), "kick", 4)
    quiet = np.array([h.start for h in find_onsets(heard(mix * 0.05), "kick", 3)])
    assert np.abs(quiet - [h.start for h in first[:3]]).max() <= 2  # rounding of the energies
    assert find_onsets(heard(mix), "kick", 4) == first


def test_onsets_are_apart_and_best_first():
    mix, _ = beat()
    hits = find_onsets(heard(mix), "hihat", 16)
    starts = np.sort([h.start for h in hits])
    assert np.diff(starts).min() >= MIN_DISTANCE * RATE
    assert [h.rank for h in hits] == sorted((h.rank for h in hits), reverse=True)
    assert all(0 <= h.likelihood <= 1 and 0 <= h.start < len(mix) for h in hits)


def test_silence_and_very_short_sounds_are_no_error():
    config = PromptConfig(hits=3, seconds=0.2)
    for n in (4 * RATE, 3000, 3):
        silence = np.zeros(n, np.float32)
        codes = prompt_codes(bundled_codec(), silence, "kick", config, heard(silence))
        assert codes.shape == (9, 3 * 18)


def test_segments_start_on_the_onset_at_one_level_and_are_repeated():
    mix = np.zeros(20000, np.float32)
    mix[5000:5400], mix[15000:15100] = 0.1, -0.4
    cut = cut_segments(mix, [5000, 15000], PromptConfig(hits=3, seconds=0.3))
    assert cut.shape == (3, 13230)
    assert np.allclose(cut[0, :400], 0.9 / 4)  # the later, louder hit sets this one's level
    assert np.allclose(cut[1, :100], -0.9)
    assert not cut[1, 100:].any()
    assert np.array_equal(cut[2], cut[0])
    moved = cut_segments(mix, [5000, 15000], PromptConfig(hits=2, seconds=0.3), np.array([0, -10]))
    assert not moved[1, :10].any()
    assert moved[1, 10] == pytest.approx(-0.9)
    assert not cut_segments(mix, [], PromptConfig(hits=2, seconds=0.3)).any()


def test_training_and_extraction_make_the_same_prompt():
    mix, _ = beat()
    codec, config = bundled_codec(), PromptConfig(hits=3, seconds=0.2)
    kinds = ("hits", "band_energies")
    together = prompts_of_all(codec, mix, ("kick", "hihat"), config, kinds, np.zeros((2, 3), int), heard(mix))
    for kind, drum in itertools.product(kinds, ("kick", "hihat")):
        alone = prompt_codes(codec, mix, drum, dataclasses.replace(config, kind=kind), heard(mix))
        assert np.array_equal(together[kind][drum], alone)
    # 0.2 s are 17.2 frames of the codec, and 18 with the last one's rest.
    segment = band_energies.PRE_ONSET_FRAMES + 18
    assert together["band_energies"]["kick"].shape == (band_energies.FEATURES, 3 * segment)
    whole = prompt_codes(codec, mix, "kick", PromptConfig(kind="mix", hits=1, seconds=0.2), heard(mix))
    assert whole.shape == (9, 345)
