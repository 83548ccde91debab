"""The tokens stage: shards are made from items and reused while they are complete and have the same key."""

import dataclasses
import shutil
import types

import numpy as np
import pytest
import torch

from dose import audio, config
from dose.codec import bundled_codec
from dose.drums import DRUMS
from dose.errors import ConfigError, IntegrityError, MissingInputError
from dose.rmod.config import RmodConfig
from dose.tokens import band_energies, shards
from dose.tokens import encode as stage
from dose.tokens.prompt import prompt_codes
from dose.train.data import open_data
from dose.transcription.network import BUNDLED
from dose.transcription.transcribe import activations, bundled_network
from pipelines import tokens as script

SMALL = stage.TokensConfig(
    train=5, val=2, shard=2, workers=1, realistic_share=0.0, prompts=("hits", "band_energies"),
    hits=2, seconds=0.1, jitter_ms=0.0, shot_seconds=1.0, seed=0,
)  # fmt: skip


def item(split: str, index: int):
    """A mix of 1 s with three bursts of noise, and one-shots, all a function of (split, index)."""
    rng = np.random.default_rng([index, len(split)])
    mix = np.zeros((2, audio.RATE), np.float32)
    starts = np.array([4000, 18000, 31000]) + rng.integers(0, 2000, 3)
    for start in starts:
        mix[:, start : start + 3000] = rng.uniform(-0.5, 0.5, 3000) * np.exp(-np.arange(3000) / 600)
    shots = {d: (mix[0, starts[0] : starts[0] + 5000] * (i + 1) / 3) for i, d in enumerate(DRUMS)}
    hits = {d: tuple(starts / audio.RATE) for d in DRUMS}
    return types.SimpleNamespace(mix=mix, shots=shots, hits=hits)


def stand_in(patch, made: list) -> None:
    """RMOD without sounds; notes in `made` which items were rendered."""

    def specs(config, library, split, start, stop):
        return ((split, index) for index in range(start, stop))

    def render(spec, library, config):
        made.append(spec)
        return item(*spec)

    def realistic(config, library, split, index, *, seconds):
        made.append((f"realistic {split}", index))
        return item(split, index)

    patch.setattr(stage, "draw_many", specs)
    patch.setattr(stage, "render", render)
    patch.setattr(stage, "realistic_item", realistic)
    patch.setattr(stage.SampleLibrary, "load", lambda folder: types.SimpleNamespace(id="bank"))


@pytest.fixture(autouse=True)
def rendered(monkeypatch):
    made = []
    stand_in(monkeypatch, made)
    stage._library.cache_clear()
    return made


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec") / "codec"
    bundled_codec().save(folder)
    return folder


@pytest.fixture(scope="module")
def rmod():
    return config.load("rmod", RmodConfig)


@pytest.fixture(scope="module")
def first(codec, rmod, tmp_path_factory):
    """Built once; tests work on copies."""
    out = tmp_path_factory.mktemp("first") / "tokens"
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, [])
        stage.build(SMALL, rmod, out / "bank", codec, BUNDLED, out)
    return out


@pytest.fixture
def built(first, codec, rmod, tmp_path):
    out = tmp_path / "tokens"
    shutil.copytree(first, out)

    def again(**changes) -> None:
        stage.build(dataclasses.replace(SMALL, **changes), rmod, out / "bank", codec, BUNDLED, out)

    return out, again


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_shards_hold_each_items_one_shots_and_the_prompts_of_extraction(built):
    out, _ = built
    tokens, codec = shards.Tokens(out, "train"), bundled_codec()
    assert [s["count"] for s in tokens.index.shards] == [2, 2, 1]
    made = item("train", 3)
    shot = torch.from_numpy(audio.fit_length(made.shots["snare"], audio.RATE))[None, None]
    assert np.array_equal(tokens.codes("snare").select(np.array([3]))[0], codec.encode(shot)[0].numpy())
    mono = made.mix.mean(axis=0)
    found = activations(mono, bundled_network())
    prompt = prompt_codes(codec, mono, "snare", SMALL.prompt, found)
    assert np.array_equal(tokens.codes("prompt_snare").select(np.array([3]))[0], prompt)
    kind = dataclasses.replace(SMALL.prompt, kind="band_energies")
    features = prompt_codes(codec, mono, "snare", kind, found)
    assert np.array_equal(tokens.codes("band_energies_snare").select(np.array([3]))[0], features)
    picture = band_energies.quantised_spectrograms(shot[0].numpy(), 87)[0]
    assert np.array_equal(tokens.codes("spectrogram_snare").select(np.array([3]))[0], picture)
    batch = open_data(out, "snare", "band_energies").train.batch(np.array([3]))
    assert np.array_equal(batch.prompt[0], features)
    assert batch.spectrogram is not None
    assert np.array_equal(batch.spectrogram[0], picture)


def test_only_deleted_or_damaged_shards_are_made_again_with_the_same_bytes(built, rendered):
    out, again = built
    before = contents(out)
    again()
    assert rendered == []
    shutil.rmtree(out / "train" / "shard-00001")
    again()
    assert rendered == [("train", 2), ("train", 3)]
    victim = out / "val" / "shard-00000" / "kick.npy"
    victim.write_bytes(victim.read_bytes()[:-1])
    rendered.clear()
    again()
    assert rendered == [("val", 0), ("val", 1)]
    assert contents(out) == before


def test_shards_with_another_key_are_made_again_and_surplus_ones_deleted(built, rendered):
    out, again = built
    again(train=2)
    assert rendered == []
    assert [p.name for p in sorted((out / "train").glob("shard-*"))] == ["shard-00000"]
    again(seconds=0.12, train=2)
    assert len(rendered) == 4


def test_a_share_of_the_items_is_realistic(built, rendered):
    out, again = built
    before = shards.Tokens(out, "train").index.data_id
    again(realistic_share=0.5)
    assert rendered == [
        ("train", 0), ("realistic train", 1), ("train", 2), ("realistic train", 3), ("train", 4),
        ("val", 0), ("realistic val", 1),
    ]  # fmt: skip
    assert shards.Tokens(out, "train").index.data_id != before


def test_training_names_the_tampered_shard_and_refuses_another_codecs_vectors(built):
    out, _ = built
    data = open_data(out, "kick", "hits")
    assert (len(data.train), len(data.val)) == (5, 2)
    assert data.codebooks is not None and data.codebooks.shape[:2] == (9, 1024)  # noqa: PT018
    np.save(out / shards.VECTORS, (data.codebooks + 1).astype(np.float16))
    with pytest.raises(IntegrityError, match=r"vectors\.npy"):
        open_data(out, "kick", "hits")
    (out / shards.VECTORS).unlink()
    with pytest.raises(MissingInputError, match=r"vectors\.npy"):
        open_data(out, "kick", "hits")
    path = out / "train" / "shard-00002" / "prompt_kick.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(IntegrityError, match="shard-00002"):
        open_data(out, "kick", "hits")


def test_more_items_than_rmod_has_are_refused(codec, rmod, tmp_path):
    with pytest.raises(ConfigError, match="rmod"):
        more = dataclasses.replace(SMALL, train=rmod.train + 1)
        stage.build(more, rmod, tmp_path, codec, BUNDLED, tmp_path / "t")


def test_the_stage_writes_what_params_say(codec, tmp_path, monkeypatch, capsys):
    section = dataclasses.replace(SMALL, train=2, prompts=("mix",))
    loaded = {"tokens": section, "rmod": config.load("rmod", RmodConfig)}
    monkeypatch.setattr(script.config, "load", lambda name, cls: loaded[name])
    monkeypatch.chdir(tmp_path)
    shutil.copytree(codec, tmp_path / "data" / "codec")
    shutil.copytree(BUNDLED, tmp_path / "data" / "transcription")
    script.main()
    assert capsys.readouterr().out.splitlines()[-2:] == ["train: 2 items", "val: 2 items"]
    assert shards.Tokens("data/tokens", "train").codes("mix").shape == (2, 9, 87)
