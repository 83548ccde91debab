"""Each effect against what it must do at its limits, and against an independent implementation."""

import numpy as np
import pytest
from scipy import signal

from dose.audio import RATE
from dose.rmod import effects
from dose.rmod.effects import dynamics, sends

N = 20000


@pytest.fixture(scope="module")
def noise():
    """Loud, quiet and loud again, so that attack and release both show."""
    loudness = np.where((np.arange(N) // 4000) % 2 == 0, 0.5, 0.02)
    return (np.random.default_rng(3).uniform(-1, 1, N) * loudness).astype(np.float32)


def _sections(*sections):
    return np.array(sections)


def _compress(x, *setting, gain=1.0):
    rows = np.zeros((effects.LANES, x.size), np.float32)
    rows[0] = x
    effects.compress(rows, np.array([[*setting, gain]]))
    assert not rows[1:].any()
    return rows[0]


def _limit(x):
    return x * effects.limiter_gain(np.abs(x), 0.1, 50.0)


EFFECTS = {
    "peaks": lambda x: effects.biquads(x, _sections(*[effects.peak_filter(300, 6, 2)] * 5)),
    "low shelf": lambda x: effects.biquads(x, _sections(effects.low_shelf(80, -3, 0.7))),
    "high shelf": lambda x: effects.biquads(x, _sections(effects.high_shelf(3000, 4, 0.7))),
    "high-pass": lambda x: effects.first_order(x, *effects.high_pass(2000).astype(np.float32)),
    "low-pass": lambda x: effects.first_order(x, *effects.low_pass(200).astype(np.float32)),
    "compressor": lambda x: _compress(x, -30.0, 5.0, 50.0, 4.0),
    "limiter": _limit,
    "delay": lambda x: effects.delay(x, 1000, 0.3),
    "reverb": lambda x: effects.reverb(x, 0.8, 0.3, 0.6),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_is_finite_keeps_the_length_and_leaves_its_input(name, noise):
    x = noise.copy()
    y = EFFECTS[name](x)
    assert y.dtype == np.float32
    assert y.shape[-1] == N
    assert np.isfinite(y).all()
    assert np.abs(y).max() > 1e-4
    np.testing.assert_array_equal(x, noise)
    assert EFFECTS[name](x).tobytes() == y.tobytes()


@pytest.mark.parametrize("name", EFFECTS)
def test_silence_gives_silence(name):
    assert not EFFECTS[name](np.zeros(N, np.float32)).any()


@pytest.mark.parametrize("name", EFFECTS)
def test_what_comes_later_changes_nothing_before(name, noise):
    later = noise.copy()
    later[N // 2 :] *= -0.5
    np.testing.assert_array_equal(EFFECTS[name](later)[..., : N // 2], EFFECTS[name](noise)[..., : N // 2])


@pytest.mark.parametrize(
    "neutral",
    [
        lambda x: effects.biquads(x, _sections(effects.peak_filter(300, 0, 2))),
        lambda x: effects.biquads(x, _sections(*[effects.low_shelf(300, 0, 0.7)] * 3)),
        lambda x: effects.biquads(x, np.zeros((0, 5), np.float32)),
        lambda x: _compress(x, -40.0, 5.0, 50.0, 1.0),
        lambda x: _compress(x, 0.0, 5.0, 50.0, 10.0),
        lambda x: x * effects.limiter_gain(np.abs(x), 1.0, 50.0),
        lambda x: effects.delay(x, 0, 0.0),
    ],
)
def test_a_neutral_setting_is_the_identity(neutral, noise):
    np.testing.assert_allclose(neutral(noise), noise, atol=2e-7)


@pytest.mark.parametrize("gain_db", [-6.0, 3.0])
def test_a_filter_gain_of_n_db_is_n_db(gain_db):
    def level(section, hz):
        b, a = section[:3], [1, *section[3:]]
        return 20 * np.log10(abs(signal.freqz(b, a, [hz], fs=RATE)[1][0]))

    assert level(effects.peak_filter(500, gain_db, 2), 500) == pytest.approx(gain_db, abs=1e-9)
    assert level(effects.low_shelf(500, gain_db, 0.7), 0.001) == pytest.approx(gain_db, abs=1e-6)
    assert level(effects.low_shelf(500, gain_db, 0.7), 20000) == pytest.approx(0, abs=0.01)
    assert level(effects.high_shelf(500, gain_db, 0.7), 22050) == pytest.approx(gain_db, abs=1e-6)
    for first_order, passed in ((effects.high_pass(2000), 22050), (effects.low_pass(2000), 0.001)):
        b0, b1, a1 = first_order
        h = abs(signal.freqz([b0, b1], [1, a1], [2000, passed], fs=RATE)[1])
        assert 20 * np.log10(h) == pytest.approx([-3.0103, 0], abs=1e-3)


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_sections_in_a_row_equal_scipy_in_float64(count, noise):
    kinds = [
        effects.low_shelf(25, 0.5, 0.707),
        effects.peak_filter(50, 2, 10),
        effects.peak_filter(400, -2, 1.5),
    ]
    sections = (kinds * 2)[:count]
    want = noise.astype(np.float64)
    for s in sections:
        want = signal.lfilter(s[:3], [1, *s[3:]], want)
    error = effects.biquads(noise, np.array(sections)) - want
    assert np.sqrt(np.mean(error**2) / np.mean(want**2)) < 10 ** (-130 / 20)


def _slow_compressor(x, threshold_db, attack_ms, release_ms, ratio):
    """One sample at a time in float64, as the paper of Giannoulis et al. has it."""
    attack, release = (np.exp(-1000 / (RATE * ms)) for ms in (attack_ms, release_ms))
    smooth, y = 0.0, np.empty(x.size)
    for n, v in enumerate(x.astype(np.float64)):
        level = 20 * np.log10(max(abs(v), 1e-6))
        over = (1 - 1 / ratio) * max(level - threshold_db, 0)
        keep = attack if over > smooth else release
        smooth = keep * smooth + (1 - keep) * over
        y[n] = v * 10 ** (-smooth / 20)
    return y


@pytest.mark.parametrize(("attack", "release"), [(1.0, 10.0), (100.0, 500.0), (90.0, 12.0)])
def test_the_compressor_equals_a_plain_loop_in_float64(attack, release, noise):
    want = _slow_compressor(noise, -40.0, attack, release, 7.0)
    np.testing.assert_allclose(_compress(noise, -40.0, attack, release, 7.0), want, atol=2e-5)


def test_the_limiter_equals_pedalboards_compressor_at_a_great_ratio(noise):
    pedalboard = pytest.importorskip("pedalboard")
    plugin = pedalboard.Compressor(threshold_db=-20, ratio=1e6, attack_ms=0.0005, release_ms=80)
    want = plugin(noise, RATE)
    got = noise * effects.limiter_gain(np.abs(noise), 0.1, 80.0)
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert np.abs(got).max() <= 0.1 + 1e-7


def test_the_reverb_equals_pedalboards(noise):
    pedalboard = pytest.importorskip("pedalboard")
    for room, damping, width in ((0.1, 0.9, 1.0), (0.9, 0.2, 0.3), (0.5, 0.5, 0.0)):
        plugin = pedalboard.Reverb(room_size=room, damping=damping, width=width, wet_level=1, dry_level=0)
        want = plugin(np.stack([noise, noise]), RATE)
        got = effects.reverb(noise, room, damping, width)
        # JUCE glides to its settings over the first 10 ms.
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.9999
        assert np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2)) < 0.02


def test_delay_and_send_filters_equal_pedalboards(noise):
    pedalboard = pytest.importorskip("pedalboard")
    echoes = pedalboard.Delay(delay_seconds=1000 / RATE, feedback=0.3, mix=1.0)(noise, RATE)
    np.testing.assert_allclose(effects.delay(noise, 1000, 0.3), echoes, atol=1e-5)
    for plugin, ours in (
        (pedalboard.HighpassFilter(2000), effects.high_pass(2000)),
        (pedalboard.LowpassFilter(200), effects.low_pass(200)),
    ):
        got = effects.first_order(noise, *ours.astype(np.float32))
        np.testing.assert_allclose(got, plugin(noise, RATE), atol=1e-5)


def test_eq_equals_pedalboards(noise):
    pedalboard = pytest.importorskip("pedalboard")
    chain = pedalboard.Pedalboard(
        [pedalboard.LowShelfFilter(80, -3, 0.707), pedalboard.PeakFilter(300, 2, 5)]
    )
    sections = _sections(effects.low_shelf(80, -3, 0.707), effects.peak_filter(300, 2, 5))
    np.testing.assert_allclose(effects.biquads(noise, sections), chain(noise, RATE), atol=1e-4)


def test_log2_and_exp2_are_as_exact_as_stated():
    x = np.geomspace(1e-6, 8, 100_000).astype(np.float32)
    out = np.empty_like(x)
    dynamics._log2(x, out)
    np.testing.assert_allclose(out, np.log2(x.astype(np.float64)), atol=2e-6)
    x = np.linspace(-30, 5, 100_000).astype(np.float32)
    dynamics._exp2(x, out)
    np.testing.assert_allclose(out, np.exp2(x.astype(np.float64)), rtol=3e-7)


def test_rms_and_mix(noise):
    assert effects.rms(noise) == pytest.approx(np.sqrt(np.mean(noise.astype(np.float64) ** 2)), rel=1e-5)
    assert effects.rms(np.zeros(0, np.float32)) == 0
    bus = np.ones((2, N), np.float32)
    effects.mix_in(bus, noise, 0.5, -2.0)
    np.testing.assert_allclose(bus, np.stack([1 + 0.5 * noise, 1 - 2 * noise]), atol=1e-6)


def test_combs_and_allpass_equal_their_definition():
    """Freeverb's two parts, one sample at a time with circular buffers."""
    x = np.random.default_rng(4).uniform(-1, 1, 3000).astype(np.float32)
    lengths, feedback, damping = (31, 37, 41, 50, 52, 60, 61, 70), 0.8, 0.3
    want = np.zeros(x.size)
    for d in lengths:
        buffer, low = np.zeros(d), 0.0
        for n, v in enumerate(x):
            out = buffer[n % d]
            low = out * (1 - damping) + low * damping
            buffer[n % d] = v + low * feedback
            want[n] += out
    got = np.zeros_like(x)
    half = np.float32(0.5)
    sends._combs(2 * x, half, got, np.float32(feedback), np.float32(damping), np.array(lengths))
    np.testing.assert_allclose(got, want, atol=1e-4)
    buffer, want = np.zeros(23), np.zeros(x.size)
    for n, v in enumerate(x):
        old = buffer[n % 23]
        buffer[n % 23] = v + old * 0.5
        want[n] = old - v
    got = x.copy()
    sends._allpass(got, 23)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_gains_and_peak(noise):
    sections = _sections(*[effects.peak_filter(300, 6, 2)] * 5)
    for count in (0, 1, 4):
        rows = np.zeros((effects.LANES, N), np.float32)
        rows[:2] = noise
        effects.apply_eq(rows, [sections[:count], sections[:0]], [0.5, -2.0])
        want = effects.biquads(noise, sections[:count]) * np.float32(0.5)
        np.testing.assert_allclose(rows[0], want, atol=1e-6)
        np.testing.assert_array_equal(rows[1], -2 * noise)
        assert not rows[2:].any()
    want = _compress(noise * np.float32(2), -30.0, 5.0, 50.0, 4.0)
    np.testing.assert_allclose(_compress(noise, -30.0, 5.0, 50.0, 4.0, gain=2.0), want, atol=1e-6)
    want = effects.reverb(noise, 0.5, 0.5, 0.5) * np.float32(0.25)
    np.testing.assert_allclose(effects.reverb(noise, 0.5, 0.5, 0.5, 0.25), want, atol=1e-6)
    assert effects.peak(noise) == np.abs(noise).max()
