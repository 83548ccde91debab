"""From mix to kit: reproducible, independent of the form of the input, and the same in batches."""

import librosa
import numpy as np
import pytest
from extract_beat import drum_loop

from dose import audio
from dose.drums import DRUMS
from dose.errors import AudioError, DoseError, IntegrityError
from dose.extract import Extractor
from dose.extract.candidates import SearchConfig
from dose.model.sampling import Sampling

RATE = 44100


@pytest.fixture(scope="module")
def loop():
    return drum_loop(4.0)


def test_a_kit_has_postprocessed_one_shots(extractor, loop):
    kit = extractor.extract(loop, RATE, candidates=3)
    assert list(kit.hits) == list(DRUMS)
    for drum, hits in kit.hits.items():
        assert len(hits) == 3
        assert len({hit.seed for hit in hits}) == 3
        for hit in hits:
            assert hit.drum == drum
            assert hit.audio.dtype == np.float32
            assert audio.db(audio.peak(hit.audio)) == pytest.approx(-1, abs=0.01)
            assert np.argmax(np.abs(hit.audio) > 0.085) < 0.005 * RATE  # -20 dB of the peak
            assert len(hit.raw) == RATE
            assert 0 <= hit.confidence <= 1
            assert 0 <= hit.time <= 4
    assert kit.seconds == pytest.approx(4)


def test_the_seed_determines_the_kit(extractor, loop):
    def sounds(seed):
        kit = extractor.extract(loop, RATE, drums=("snare",), candidates=2, seed=seed)
        return [hit.raw for hit in kit.hits["snare"]]

    again, other = sounds(5), sounds(6)
    assert all((a == b).all() for a, b in zip(sounds(5), again, strict=True))
    assert not any((a == b).all() for a in again for b in other)


def test_rate_channels_and_blocks_do_not_matter_much(extractor, loop, tmp_path):
    """Onsets are found at the same times; the sound may differ by the resampler's error."""
    direct = extractor.extract(loop, RATE).hits["kick"][0]
    audio.write(tmp_path / "x.flac", audio.resample(loop, RATE, 48000), 48000, subtype="PCM_24")
    from_file = extractor.extract_file(tmp_path / "x.flac").hits["kick"][0]
    assert from_file.time == pytest.approx(direct.time, abs=0.02)
    audio.write(tmp_path / "same.wav", loop, RATE, subtype="FLOAT")
    same = extractor.extract_file(tmp_path / "same.wav").hits["kick"][0]
    assert (same.raw == direct.raw).all()


def test_batches_equal_one_by_one(extractor):
    mixes = [drum_loop(4.0, seed=i) for i in range(3)]
    together = extractor.extract_batch(mixes, "hihat")
    assert together.shape == (3, RATE)
    alone = np.concatenate([extractor.extract_batch([mix], "hihat") for mix in mixes])
    assert np.abs(together - alone).max() < 1e-5
    samples = extractor.extract_batch(mixes, "hihat", sampling=Sampling(temperature=1.0, seed=3))
    assert np.abs(samples - together).max() > 1e-3


def test_the_consensus_is_the_medoid(extractor):
    mix = drum_loop(4.0, seed=1)
    prompt = extractor.prompt(mix.mean(axis=0) if mix.ndim == 2 else mix, "snare")
    samples = extractor.sample("snare", prompt.expand(5, -1, -1), Sampling(temperature=1.0, seed=2))
    chosen = extractor.extract_consensus([mix], "snare", samples=5, seed=2)[0]
    far = [sum(_distance(a, b) for b in samples) for a in samples]
    assert (chosen == samples[int(np.argmin(far))]).all()


def _distance(a, b):
    """The distance of `rerank.mean_distances`, by librosa."""
    total = 0.0
    for size in (2048, 512, 128):
        pair = [
            np.abs(librosa.stft(x / np.abs(x).max(), n_fft=size, hop_length=size // 4, pad_mode="reflect"))
            for x in (a, b)
        ]
        total += np.mean((pair[0] - pair[1]) ** 2)
    return total


def test_short_mixes_are_padded(extractor, loop):
    kit = extractor.extract(loop[:, : RATE // 2], RATE)
    assert kit.seconds == pytest.approx(0.5)
    assert all(hits for hits in kit.hits.values())


def test_the_pan_of_the_mix_is_found(extractor, loop):
    kit = extractor.extract(loop, RATE)
    left, right = kit.hits["snare"][0].pan
    assert right == 1
    assert left == pytest.approx(0.5, abs=0.1)
    assert min(kit.hits["kick"][0].pan) > 0.9
    assert extractor.extract(loop[0], RATE).hits["snare"][0].pan == (1.0, 1.0)


def test_progress_is_reported(extractor, loop):
    reports = []
    extractor.extract(
        loop, RATE, drums=("kick", "hihat"), progress=lambda f, stage: reports.append((f, stage))
    )
    assert [stage for _, stage in reports] == ["listen", "kick", "hihat", "done"]
    assert [f for f, _ in reports] == sorted(f for f, _ in reports)
    assert reports[-1][0] == 1


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros((2, RATE)), "is silent"),
        (np.full(RATE, 1e-6), "is silent"),
        (np.full(RATE, np.nan), "not finite"),
        (np.ones(3), "only 3 samples"),
    ],
)
def test_unusable_input_is_an_error(extractor, sound, message):
    with pytest.raises(AudioError, match=message):
        extractor.extract(sound, RATE)


def test_wrong_requests_are_errors(extractor, loop):
    with pytest.raises(DoseError, match="no drum 'tom'"):
        extractor.extract(loop, RATE, drums=("kick", "tom"))
    with pytest.raises(DoseError, match="once"):
        extractor.extract(loop, RATE, drums=("kick", "kick"))
    with pytest.raises(DoseError, match="1 to 64"):
        extractor.extract(loop, RATE, candidates=0)


def test_candidates_come_from_several_segments(extractor):
    """A song with drums at both ends gives candidates from both ends."""
    song = np.concatenate([drum_loop(4.0), np.zeros((2, 30 * RATE), np.float32), drum_loop(4.0, 1)], axis=1)
    kit = extractor.extract(song, RATE, drums=("snare",), candidates=4)
    times = [hit.time for hit in kit.hits["snare"]]
    assert min(times) < 8 < 30 < max(times)


def test_silent_samples_give_no_one_shot(extractor, loop, monkeypatch):
    monkeypatch.setattr(extractor, "sample", lambda drum, prompts, rules: np.zeros((len(prompts), RATE)))
    kit = extractor.extract(loop, RATE, drums=("kick",))
    assert kit.hits == {"kick": ()}
    assert not kit.detected("kick")
    assert kit.facts()["drums"]["kick"] == {
        "detected": False, "confidence": 0.0, "candidates": [], "resynthesis_score": 0.0, "present": False,
    }  # fmt: skip


def test_more_candidates_need_more_samples(bundle):
    search = SearchConfig(samples=2, samples_per_candidate=1)
    assert [search.sample_count(n) for n in (1, 2, 8)] == [2, 3, 9]
    kit = Extractor.load(bundle, search=search).extract(drum_loop(4.0), RATE, drums=("kick",), candidates=2)
    assert len(kit.hits["kick"]) == 2


def test_a_tampered_model_is_refused(bundle_copy):
    weights = bundle_copy / "snare" / "weights.safetensors"
    body = bytearray(weights.read_bytes())
    body[-1] ^= 1
    weights.write_bytes(body)
    with pytest.raises(IntegrityError, match=r"snare/weights\.safetensors"):
        Extractor.load(bundle_copy)


def test_facts_are_json(extractor, loop):
    import json

    kit = extractor.extract(loop, RATE, candidates=2)
    facts = json.loads(json.dumps(kit.facts()))
    assert facts["drums"]["kick"]["candidates"][0]["seed"] == kit.hits["kick"][0].seed
    assert facts == kit.facts()  # nothing that JSON would change, such as a tuple or a key that is no text
    # Fields that were there before the groove keep their places.
    assert list(facts) == ["version", "data_id", "seconds", "seed", "drums", "groove", "resynthesis_score"]
