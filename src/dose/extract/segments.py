"""Where in a song each drum is heard best: windows of 4 s, judged while the song streams by."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import MIX_SECONDS
from dose.dsp.mel import BANDS, HOP, bands, in_range
from dose.extract.drift import features
from dose.extract.offset import without_offset
from dose.transcription.detector import find_onsets, likelihoods

SEGMENT = int(MIX_SECONDS * RATE)
STEP = SEGMENT // 2
SILENCE = 1e-4  # -80 dBFS, the codec's own idea of silence
LOOP = RATE  # samples: a sound of this length or more that is shorter than a window is taken for a loop
HITS = 4  # hits looked at in each window
KEEP = 12  # windows remembered per drum while a song streams by; twice as many at most at any time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """Four seconds of the mix; a shorter one is filled up, see `_filled`."""

    audio: np.ndarray  # float32 [1 or 2, WINDOW]
    start: int  # samples into the source
    hits: tuple[int, ...]  # samples into the window, best first
    likelihood: tuple[float, ...]  # of each hit to be this drum's, 0..1
    clarity: tuple[float, ...]  # of each hit, see `clarity`
    likelihoods: np.ndarray | None = None  # [drums, T] of the whole window, as `find_hits` takes them
    period: int = SEGMENT  # samples after which a loop that is shorter than a window begins again

    @property
    def mono(self) -> np.ndarray:
        return audio.downmix(self.audio)

    @property
    def score(self) -> float:
        """0..1: several likely and clear hits are worth more than one good one among weak ones."""
        return float(np.mean([a * (0.5 + 0.5 * b) for a, b in self._pairs])) if self.hits else 0.0

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        return list(zip(self.likelihood, self.clarity, strict=True))

    @property
    def time(self) -> float:
        """Seconds into the source of the best hit."""
        return (self.start + (self.hits[0] % self.period if self.hits else 0)) / RATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanResult:
    """What was found while the song streamed by."""

    windows: dict[str, list[Segment]]
    samples: int  # length of the song
    peak: float
    features: np.ndarray  # [BANDS], the mean over windows that are not silent; zeros when all are


def scan(blocks: Iterable[np.ndarray], drums: Sequence[str]) -> ScanResult:
    """Streams blocks [C, N] and keeps, per drum, the windows that hear it best.

    Memory does not grow with the song: of the windows seen so far only the KEEP best are remembered.
    """
    kept: dict[str, list[Segment]] = {drum: [] for drum in drums}
    samples, peak = 0, 0.0
    shapes, sounding = np.zeros(BANDS), 0
    for start, cut, length in _cut(without_offset(blocks)):
        samples, peak = start + length, max(peak, audio.peak(cut))
        mono = audio.downmix(cut)
        picture, chances = bands(mono), likelihoods(mono)
        if audio.peak(mono) > SILENCE:
            shapes, sounding = shapes + features(picture), sounding + 1
        for drum in drums:
            kept[drum].append(_judge(cut, mono, start, length, drum, picture, chances))
            if len(kept[drum]) >= 2 * KEEP:
                kept[drum] = choose(kept[drum], KEEP)
    return ScanResult(windows=kept, samples=samples, peak=peak, features=shapes / max(1, sounding))


def choose(windows: Sequence[Segment], count: int) -> list[Segment]:
    """The `count` best windows, best first, each made less attractive by nearness to those taken before."""
    left, taken = list(windows), list[Segment]()
    reach = 2.0 * SEGMENT  # how far a window's shadow falls
    while left and len(taken) < count:
        shade = [min((min(1.0, abs(w.start - t.start) / reach) for t in taken), default=1.0) for w in left]
        worth = [w.score * (0.25 + 0.75 * s) for w, s in zip(left, shade, strict=True)]
        taken.append(left.pop(int(np.argmax(worth))))
    return taken


def onset_snr(picture: np.ndarray, hit: int, drum: str) -> float:
    """0..1: how well a hit at sample `hit` is heard in band magnitudes [BANDS, T].

    The product of how far the drum's range rises at the hit (full at 24 dB) and how much of the whole
    picture's rise lies in that range (low masking). 0 for a hit at which the range does not rise.
    """
    at = hit // HOP
    before = picture[:, max(0, at - 6) : max(1, at - 1)].mean(axis=1)
    after = picture[:, at : at + 6].max(axis=1, initial=0.0)
    mine = in_range(drum)
    rise = audio.db(_power(after[mine])) / 2 - audio.db(max(_power(before[mine]), 1e-8)) / 2
    risen = np.maximum(after**2 - before**2, 0)
    share = risen[mine].sum() / max(risen.sum(), 1e-12)
    return float(np.clip(rise / 24, 0, 1) * np.sqrt(share))


def _judge(
    cut: np.ndarray,
    mono: np.ndarray,
    start: int,
    length: int,
    drum: str,
    picture: np.ndarray,
    chances: np.ndarray,
) -> Segment:
    """A window [C, WINDOW] with its hits; silence has none."""
    hits = find_onsets(mono, drum, HITS, chances) if audio.peak(mono) > SILENCE else []
    return Segment(
        audio=cut,
        start=start,
        hits=tuple(hit.start for hit in hits),
        likelihood=tuple(hit.likelihood for hit in hits),
        clarity=tuple(onset_snr(picture, hit.start, drum) for hit in hits),
        likelihoods=chances,
        period=length,
    )


def _cut(blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray, int]]:
    """(start, [1 or 2, WINDOW], samples that are no padding), one every STEP, the last flush with the end."""
    held, past, start = np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32), 0
    for block in blocks:
        part = block if block.shape[0] <= 2 else audio.downmix(block)[None]
        held = np.concatenate([held, part], axis=1) if held.shape[1] else part
        while held.shape[1] > SEGMENT:
            yield start, held[:, :SEGMENT].copy(), SEGMENT
            past, held, start = held[:, :STEP], held[:, STEP:], start + STEP
    lacking = min(SEGMENT - held.shape[1], past.shape[1])
    if lacking:
        held, start = np.concatenate([past[:, -lacking:], held], axis=1), start - lacking
    if held.shape[1]:
        yield start, _filled(held), held.shape[1]


def _filled(sound: np.ndarray) -> np.ndarray:
    """[C, N] to [C, WINDOW]: repeated where N is LOOP or more, else padded with zeros.

    Training knows no window whose end is empty, and a bar of drums is mostly there to be repeated.
    """
    times = -(-SEGMENT // sound.shape[1]) if sound.shape[1] >= LOOP else 1
    return audio.fit_length(np.tile(sound, (1, times)), SEGMENT).copy()


def _power(magnitudes: np.ndarray) -> float:
    return float((magnitudes**2).sum())
