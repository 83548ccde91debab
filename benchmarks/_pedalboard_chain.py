"""RMOD's mixing chain from pedalboard and librosa: the reference for the speed of `dose.rmod.render`."""

import importlib

import numpy as np

from dose.audio import RATE
from dose.rmod import mix_spec
from dose.rmod.mix_spec import ChainSpec, LoopSpec, MixSpec
from dose.rmod.mixer import MIX, pan_gains
from dose.sources.library import SampleLibrary


def render_plainly(spec: MixSpec, library: SampleLibrary, lean: bool = False) -> np.ndarray:
    """The mix [2, N] as a careful user of pedalboard and librosa would render it from the same specification.

    Every track is stereo from the start, as the paper's loops are, and goes through one plugin after the
    other; loops are transposed by librosa. `lean` makes use of mono clips: one channel is transposed, and
    only the slice that plays. pedalboard's compressor and limiter are other algorithms than this project's,
    so this is a reference for speed and for the content of the mix, not for its samples.
    """
    from pedalboard import Compressor, LowShelfFilter, PeakFilter, Pedalboard  # type: ignore[attr-defined]

    render = importlib.import_module("dose.rmod.render")
    tracks = [(render.place(d, render.one_shot(d, library)), d.chain) for d in spec.drums.values()]
    tracks += [(_plain_loop(loop, library, lean), loop.chain) for loop in spec.loops.values()]
    bus = np.zeros((2, MIX), np.float32)
    for sound, chain in tracks:
        x = np.broadcast_to(sound, (2, MIX))
        x = x * np.float32(10 ** (chain.gain_db / 20) * (-1 if chain.inverted else 1))
        peaks = [PeakFilter(f.hz, f.gain_db, f.q) for f in chain.peaks]
        shelf = LowShelfFilter(chain.shelf.hz, chain.shelf.gain_db, chain.shelf.q)
        x = _same_level(Pedalboard([shelf, *peaks])(x, RATE), x)
        c = chain.compressor
        x = _same_level(Compressor(c.threshold_db, c.ratio, c.attack_ms, c.release_ms)(x, RATE), x)
        x = x * np.array(pan_gains(chain.pan, chain.law), np.float32)[:, None]
        bus += _plain_sends(_plain_limiter(chain.limiter, x), chain)
    m = spec.master
    bus = _same_level(Pedalboard([PeakFilter(f.hz, f.gain_db, f.q) for f in m.peaks])(bus, RATE), bus)
    return _plain_limiter(m.limiter, bus * np.float32(10 ** (m.gain_db / 20)))


def _plain_limiter(limiter: mix_spec.Limiter, x: np.ndarray) -> np.ndarray:
    import pedalboard

    limited: np.ndarray = pedalboard.Limiter(limiter.threshold_db, limiter.release_ms)(x, RATE)
    return limited


def _plain_sends(x: np.ndarray, chain: ChainSpec) -> np.ndarray:
    from pedalboard import (  # type: ignore[attr-defined]
        Delay,
        Gain,
        HighpassFilter,
        LowpassFilter,
        Pedalboard,
        Reverb,
    )

    total = x.copy()
    for send in (chain.reverb, chain.delay):
        if send is None:
            continue
        effect: Reverb | Delay
        if isinstance(send, mix_spec.Reverb):
            effect = Reverb(send.room, send.damping, wet_level=1, dry_level=0, width=send.width)
        else:
            effect = Delay(send.seconds, send.feedback, mix=1)
        low = [LowpassFilter(send.lowpass_hz)] if send.lowpass_hz is not None else []
        total += Pedalboard([effect, HighpassFilter(send.highpass_hz), *low, Gain(send.level_db)])(x, RATE)
    return total


def _plain_loop(loop: LoopSpec, library: SampleLibrary, lean: bool) -> np.ndarray:
    """[N] if lean, else [2, N]."""
    from librosa.effects import pitch_shift

    piece = loop.start // MIX * MIX
    x = library.audio(loop.clip)[piece : piece + MIX]
    offset = loop.start - piece
    if lean:
        cut = pitch_shift(x[offset : offset + loop.length], sr=RATE, n_steps=loop.semitones)
    else:
        whole = pitch_shift(np.stack([x, x]), sr=RATE, n_steps=loop.semitones)
        cut = whole[:, offset : offset + loop.length]
    repeats = -(-MIX // cut.shape[-1])
    return np.concatenate([cut] * repeats, axis=-1)[..., :MIX].astype(np.float32)


def _same_level(x: np.ndarray, before: np.ndarray) -> np.ndarray:
    """x with the RMS of `before`."""
    now = np.sqrt(np.mean(x**2))
    return x * (np.sqrt(np.mean(before**2)) / now) if now > 1e-6 else x
