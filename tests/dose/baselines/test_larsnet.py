"""LarsNet: shapes and masks as in its paper, the authors' checkpoints, training on a toy task."""

import dataclasses

import numpy as np
import pytest
import torch
from drum_sounds import mix

from dose.baselines import larsnet
from dose.baselines.larsnet import LarsNet, UNet, UNetConfig, masks, spectrum, waveform
from dose.baselines.larsnet_train import LarsNetConfig, held_out_sdr, sdr, sdr_loss, si_sdr, train
from dose.drums import DRUMS
from dose.errors import DoseError, IntegrityError, MissingInputError

SMALL = UNetConfig(bins=128, frames=64, base=2, dropout=0.0)


def _unet(**changes) -> UNetConfig:
    return dataclasses.replace(SMALL, **changes)


def _audio(samples: int = 40000, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_the_papers_network_has_its_published_shape():
    net = UNet(UNetConfig())
    shapes = {name: tuple(p.shape) for name, p in net.state_dict().items()}
    assert shapes["input_norm.weight"] == (2048,)
    assert [shapes[f"enc{i}.conv.weight"][0] for i in range(1, 7)] == [16, 32, 64, 128, 256, 512]
    assert [shapes[f"dec{i}.conv_trans.weight"][:2] for i in range(1, 7)] == [
        (512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 2),
    ]  # fmt: skip
    assert shapes["mask_layer.0.weight"] == (2, 2, 4, 4)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(9.8e6, rel=0.02)
    with torch.inference_mode():
        mask = net.eval()(torch.rand(1, 2, 2048, 512))
    assert mask.shape == (1, 2, 2048, 512)
    assert 0 < mask.min() < mask.max() < 1


def test_masks_cover_any_length_chunk_by_chunk_and_nothing_above_the_networks_bins():
    torch.manual_seed(0)
    net = UNet(SMALL).eval()
    magnitude = torch.rand(1, 2, 2049, 150)
    mask = masks(net, magnitude)
    assert mask.shape == magnitude.shape
    assert (mask[:, :, 128:] == 0).all()
    assert torch.allclose(mask[:, :, :128, :64], net(magnitude[:, :, :128, :64]))
    assert torch.allclose(masks(net, magnitude[..., :64])[..., :64], mask[..., :64])


@pytest.mark.parametrize("samples", [4096, 40000, 176400])
def test_the_stft_is_inverted(samples):
    audio = _audio(samples)
    assert torch.allclose(waveform(spectrum(audio), samples), audio, atol=1e-4)


def test_a_mask_of_ones_gives_the_mix_and_one_of_zeros_silence():
    mix = _audio().numpy()
    for level, expected in ((50.0, mix.mean(axis=0)), (-50.0, np.zeros(mix.shape[1]))):
        net = UNet(UNetConfig(bins=2048, frames=64, base=1, dropout=0.0)).eval()
        with torch.no_grad():
            net.mask_layer[0].weight.zero_()
            net.mask_layer[0].bias.fill_(level)
        stem = LarsNet({"kick": net}, "key").separate(mix)["kick"]
        assert stem == pytest.approx(expected, abs=0.15)  # the bin at 22.05 kHz is never passed


@pytest.mark.slow
def test_the_authors_checkpoints_load_by_their_names_and_others_are_rejected(tmp_path):
    net = UNet(UNetConfig())
    folder = tmp_path / "pretrained_larsnet_models" / "kick"
    folder.mkdir(parents=True)
    torch.save({"model_state_dict": net.state_dict()}, folder / "pretrained_kick_unet.pth")
    bank = larsnet.load(tmp_path)
    assert list(bank.nets) == ["kick"]
    assert torch.equal(bank.nets["kick"].enc1.conv.weight, net.enc1.conv.weight)
    torch.save({"model_state_dict": {"other": torch.zeros(1)}}, folder / "pretrained_kick_unet.pth")
    with pytest.raises(IntegrityError, match="not a LarsNet checkpoint"):
        larsnet.load(tmp_path)


def test_missing_networks_give_one_sentence(tmp_path):
    with pytest.raises(MissingInputError, match=r"pretrained_<stem>_unet\.pth"):
        larsnet.load(tmp_path / "nowhere")


def _toy(split: str, start: int, stop: int):
    """The kick is the low band, the rest the high band."""
    for i in range(start, stop):
        rng = np.random.default_rng([split == "val", i])
        t = np.arange(30000) / 44100
        kick = np.sin(2 * np.pi * rng.uniform(60, 120) * t)
        rest = 3 * np.sin(2 * np.pi * rng.uniform(600, 1000) * t)
        stems = {
            "kick": np.stack([kick] * 2).astype(np.float32),
            "rest": np.stack([rest] * 2).astype(np.float32),
        }
        yield stems["kick"] + stems["rest"], stems


CONFIG = LarsNetConfig(
    unet=SMALL, bins={}, stems=("kick",), loss="l1", steps=30, batch=2, lr=0.01, warmup=3, seed=0, held_out=3,
    save_every=10,
)  # fmt: skip


@pytest.mark.parametrize("loss", ["l1", "sdr"])
def test_training_separates_a_toy_task_and_stores_its_scores(tmp_path, loss):
    config = dataclasses.replace(CONFIG, loss=loss, bins={"kick": 64}, unet=_unet(power=0.3))
    scores = train(config, _toy, tmp_path, "data")["kick"]
    assert scores["sdr_gain"] > 6
    assert scores["si_sdr_gain"] > 6
    bank = larsnet.load(tmp_path)
    assert bank.nets["kick"].config.bins == 64
    assert held_out_sdr(bank.nets["kick"], "kick", list(_toy("val", 0, 3))) == pytest.approx(scores, abs=1e-6)
    sound, stems = next(_toy("val", 0, 1))
    estimate = bank.separate(sound)["kick"]
    reference = stems["kick"].mean(axis=0)
    assert sdr(estimate, reference) > sdr(sound.mean(axis=0), reference) + 6


def test_the_sdr_loss_is_the_mean_of_sdr_and_si_sdr_over_the_mixes_that_have_the_stem():
    target, noise = spectrum(_audio()[None]), spectrum(_audio(seed=1)[None])
    mixture, half = 2 * (target + 0.3 * noise), torch.full(target.shape, 0.5)
    with_absent = sdr_loss(
        torch.cat([half, half]), torch.cat([mixture, mixture]), torch.cat([target, 0 * target])
    )
    estimate, reference = ((0.5 * s).flatten().numpy() for s in (mixture, 2 * target))
    scale = np.vdot(reference, estimate).real / np.vdot(reference, reference).real
    ratios = [
        np.square(np.abs(estimate - k * reference)).sum() / np.square(np.abs(k * reference)).sum()
        for k in (1, scale)
    ]
    assert with_absent.item() == pytest.approx(np.mean(10 * np.log10(np.array(ratios) + 1e-3)), abs=0.01)
    assert sdr_loss(half, mixture, 0 * target).item() == 0.0
    turned_down = sdr_loss(0.01 * half, mixture, target)
    assert turned_down > with_absent + 4  # the plain SDR alone would be 10 dB worse, SI-SDR the same


def test_the_learning_rate_rises_and_falls_to_a_tenth():
    rates = [CONFIG.rate(step) for step in range(CONFIG.steps)]
    assert rates[0] == pytest.approx(CONFIG.lr / 4, rel=0.01)
    assert np.argmax(rates) == CONFIG.warmup
    assert rates[-1] == pytest.approx(CONFIG.lr / 10, rel=0.05)


def test_the_power_applies_to_the_input_magnitudes():
    torch.manual_seed(0)
    net, magnitude = UNet(SMALL).eval(), torch.rand(1, 2, 128, 64)
    other = UNet(_unet(power=0.5)).eval()
    other.load_state_dict(net.state_dict())
    assert torch.allclose(other(magnitude**2), net(magnitude), atol=1e-4)


def test_the_shipped_networks_load_separate_and_are_small():
    bank = larsnet.load(larsnet.SHIPPED)
    assert sorted(bank.nets) == sorted(DRUMS)
    assert not bank.authors
    assert sum(p.stat().st_size for p in larsnet.SHIPPED.rglob("*") if p.is_file()) < 3e6
    sound, _ = mix(3)
    stems = bank.separate(sound)
    assert all(np.isfinite(stem).all() and stem.shape == (sound.shape[1],) for stem in stems.values())
    # The snare plays on every other beat: its stem must have less energy on the kick's beats.
    energy = np.square(stems["snare"]).reshape(8, -1).sum(axis=1)
    assert energy[1::2].sum() > energy[0::2].sum()


def test_an_interrupted_training_ends_in_the_same_weights(tmp_path):
    whole = train(CONFIG, _toy, tmp_path / "whole", "data")

    class Interrupted(Exception):
        pass

    def interrupt(step, _):
        if step == 17:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(CONFIG, _toy, tmp_path / "resumed", "data", interrupt)
    steps = []
    resumed = train(CONFIG, _toy, tmp_path / "resumed", "data", lambda step, _: steps.append(step))
    assert steps == list(range(11, 31))  # from the state saved at 10
    assert resumed["kick"]["sdr"] == pytest.approx(whole["kick"]["sdr"], abs=1e-3)


def test_a_state_of_another_config_or_data_is_not_resumed(tmp_path):
    train(CONFIG, _toy, tmp_path, "data")
    steps = []
    train(CONFIG, _toy, tmp_path, "other data", lambda step, _: steps.append(step))
    assert steps[0] == 1


def test_changed_weights_are_rejected(tmp_path):
    train(CONFIG, _toy, tmp_path, "data")
    path = tmp_path / "kick" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="not the file"):
        larsnet.load(tmp_path)


def test_sdr_and_si_sdr_follow_their_definitions():
    reference = np.random.default_rng(0).standard_normal((2, 1000))
    assert sdr(0.9 * reference, reference) == pytest.approx(20.0)
    assert si_sdr(0.5 * reference, reference) > 100
    noise = np.random.default_rng(1).standard_normal((2, 1000))
    assert si_sdr(3 * (reference + noise), reference) == pytest.approx(si_sdr(reference + noise, reference))


@pytest.mark.parametrize(
    "wrong",
    [{"stems": ("tom",)}, {"bins": {"tom": 64}}, {"bins": {"kick": 100}}, {"warmup": 30}, {"lr": 0.0}],
)
def test_contradicting_settings_are_rejected(wrong):
    with pytest.raises(ValueError):
        dataclasses.replace(CONFIG, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"bins": 100}, {"frames": 65}, {"bins": 4096}, {"dropout": 1.0}, {"base": 0}, {"power": 0.0}],
)
def test_sizes_that_do_not_fit_are_rejected(wrong):
    with pytest.raises(ValueError):
        UNetConfig(**wrong)


def test_a_held_out_set_without_the_stem_is_rejected(tmp_path):
    def silent(split, start, stop):
        for sound, stems in _toy(split, start, stop):
            yield sound, {"kick": 0 * stems["kick"]}

    with pytest.raises(DoseError, match="held_out"):
        train(CONFIG, silent, tmp_path, "data")
