"""Round trip of each codec on drums it never saw: quality, code use, speed on one thread.

Sounds: the test split of the bundled bank (recorded kits) and of the procedural drums; with `--catalogue`,
that of any folder that the stage `sources` made, such as one with all packages' kits. Metrics, per class:
MSS (metrics.mss) and log-mel distance (80 bands, dB) between one-shots of peak 1; SI-SDR in dB; level error
of 24 mel bands in frames of 10 ms, in dB: signed mean, and mean magnitude weighted by energy; attack error
(metrics.attack, ms, 95th percentile) and pre-echo (loudest sample more than 1 ms before the onset, dB under
the peak, 95th percentile), both with the hit at random places of the codec's frame grid after silence.
"""

import argparse
import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dose import audio
from dose.audio import RATE
from dose.codec import Codec, load_codec
from dose.codec.store import BUNDLED
from dose.drums import DRUMS, INSTRUMENTS
from dose.errors import DoseError

SHOT = RATE
LEAD, HEARD = 2048, 20_000  # samples of silence before a placed hit, and what is kept of the hit
OFFICIAL, ENCODEC = Path("weights/dac_44khz_8kbps.pth"), Path("weights/encodec_24khz")

RoundTrip = Callable[[np.ndarray], np.ndarray]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codec", type=Path, default=BUNDLED, help="codec folder (default: the shipped one)")
    parser.add_argument(
        "--catalogue", type=Path, help="test on this bank's test split (such as data/sources)"
    )
    parser.add_argument("--procedural", type=int, default=16, help="synthetic drums per class (default 16)")
    parser.add_argument("--official", type=Path, default=OFFICIAL, help=f"DAC's weights (default {OFFICIAL})")
    parser.add_argument("--encodec", type=Path, default=ENCODEC, help=f"folder of EnCodec 24 kHz ({ENCODEC})")
    parser.add_argument(
        "--dac-seconds", type=float, default=1.0, help="timed of a DAC of official size; 0 = none"
    )
    parser.add_argument(
        "--card", action="store_true", help="write the figures into the codec's MODEL_CARD.md"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    codec = load_codec(args.codec)
    kits = recorded(args.catalogue) | synthetic(args.procedural)
    figures: dict[str, Any] = {"codecs": {}, "counts": {k: len(v) for k, v in kits.items()}}
    with one_thread():
        for name, system in systems(codec, args.official, args.encodec).items():
            figures["codecs"][name] = measure(system, kits)
        figures["codecs"]["compact" if codec.kind == "compact" else "codec"]["use"] = use(codec, kits)
        if args.dac_seconds > 0:
            figures["dac_official_size"] = time_dac(args.dac_seconds)
    figures["paper_reconstruction_mss"] = {"kick": 1.832, "snare": 1.880, "hihat": 1.530}
    figures["id"] = codec.id
    print(table(figures))
    if args.card:
        from dose.codec.card import write_card

        write_card(args.codec, figures, table(figures))
    return figures


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def recorded(catalogue: Path | None) -> dict[str, list[np.ndarray]]:
    """Recorded one-shots of the test split, [44100] of peak 1, by drum; "other" are loops."""
    out: dict[str, list[np.ndarray]] = {name: [] for name in (*DRUMS, "other")}
    for cls, sound in _catalogued(catalogue) if catalogue else _bundled():
        if cls in DRUMS:
            out[cls].append(_shot(sound))
        elif cls in INSTRUMENTS:
            out["other"].append(np.asarray(sound, np.float32))
    return {k: v for k, v in out.items() if v}


def _bundled() -> Iterator[tuple[str, np.ndarray]]:
    from dose.sources import shipped

    yield from ((item.cls, item.load()) for item in shipped.source_items() if item.split == "test")


def _catalogued(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    from dose.sources.library import SampleLibrary

    library = SampleLibrary.load(folder)
    for cls in DRUMS + INSTRUMENTS:
        for clip in library.select(cls, "test"):
            if clip.source != "procedural":
                yield cls, library.audio(clip.id)


def synthetic(count: int) -> dict[str, list[np.ndarray]]:
    """So many procedural one-shots of the test split per drum, by "drum, synthetic"."""
    from dose.sources.cleaning import clean
    from dose.sources.synth.procedural import synthesise

    return {
        f"{drum}, synthetic": [
            _shot(clean(synthesise(0, drum, "test", i), "oneshot", f"{drum} {i}").sound) for i in range(count)
        ]
        for drum in DRUMS
        if count
    }


def _shot(sound: np.ndarray) -> np.ndarray:
    return audio.normalise_peak(audio.fit_length(np.asarray(sound, np.float32), SHOT))


class CodecUnderTest:
    """A codec as something that gives back [B, N] what it was given, with its own hop and bit rate."""

    def __init__(
        self, encode: Callable[[torch.Tensor], Any], decode: Callable[[Any], torch.Tensor], bitrate: float
    ):
        self.encode, self.decode, self.bitrate = encode, decode, bitrate

    def __call__(self, shots: np.ndarray) -> np.ndarray:
        """[B, N] float32 to the same shape, 44.1 kHz."""
        back = self.decode(self.encode(torch.from_numpy(shots)[:, None]))
        return audio.fit_length(back[:, 0].float().numpy(), shots.shape[1])


def systems(codec: Codec, official: Path, encodec: Path) -> dict[str, CodecUnderTest]:
    """Every codec that can be had here, by name."""
    out = {
        "compact" if codec.kind == "compact" else "codec": CodecUnderTest(
            codec.encode, codec.decode, codec.bitrate
        )
    }
    if official.is_file():
        from dose.codec.dac import read_official

        dac = read_official(official)
        out["official DAC"] = CodecUnderTest(dac.encode, dac.decode, dac.bitrate)
    if encodec.is_dir():
        out["EnCodec 24 kHz, 6 kb/s"] = _encodec(encodec)
    return out


def _encodec(folder: Path) -> CodecUnderTest:
    """EnCodec through transformers, resampled to its 24 kHz and back."""
    from transformers import EncodecModel

    try:
        model = EncodecModel.from_pretrained(str(folder), local_files_only=True).eval()
    except (OSError, ValueError) as e:
        raise DoseError(
            f"{folder} does not hold EnCodec as transformers saves it ({e}); remove or mend it."
        ) from e

    def encode(x: torch.Tensor) -> torch.Tensor:
        low = torch.from_numpy(audio.resample(x.numpy().reshape(-1, x.shape[-1]), RATE, 24_000))[:, None]
        with torch.inference_mode():
            return model.encode(low, bandwidth=6.0).audio_codes

    def decode(codes: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            low = model.decode(codes, [None]).audio_values[:, 0].numpy()
        return torch.from_numpy(audio.resample(low, 24_000, RATE))[:, None]

    return CodecUnderTest(encode, decode, 6000.0)


def measure(system: CodecUnderTest, kits: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    """Quality per class, and speed over a minute of drums."""
    from dose.metrics.attack import attack_error
    from dose.metrics.mss import mss

    out: dict[str, Any] = {"bitrate": system.bitrate, "classes": {}}
    for name, shots in kits.items():
        if name == "other":
            continue
        true = np.stack(shots)
        back = system(true)
        placed, onsets = place(shots)
        heard = system(placed)
        rows = np.arange(len(placed))
        quiet = [np.abs(heard[i, : max(onsets[i] - RATE // 1000, 1)]).max() for i in rows]
        level = level_errors(back, true)
        out["classes"][name] = {
            "mss": float(mss(back, true).mean()),
            "log_mel_db": float(log_mel_distance(back, true).mean()),
            "si_sdr_db": float(np.mean(si_sdr(back, true))),
            "si_sdr_median_db": float(np.median(si_sdr(back, true))),
            "band_bias_db": level["bias"],
            "band_error_db": level["weighted"],
            "attack_ms_p95": float(np.nanpercentile(attack_error(heard, placed), 95)),
            "pre_echo_db_p95": float(np.percentile(audio.db(np.array(quiet)), 95)),
        }
    out["encode_x_realtime"], out["decode_x_realtime"] = speeds(system, kits)
    return out


def place(shots: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Hits [B, N] after silence, each at another place of the frame grid; and their onsets (-40 dB)."""
    rng = np.random.default_rng(0)
    rows = []
    for shot in shots:
        lead = LEAD + int(rng.integers(512))
        rows.append(
            audio.fit_length(np.concatenate([np.zeros(lead, np.float32), shot[:HEARD]]), LEAD + 512 + HEARD)
        )
    placed = np.stack(rows)
    return placed, np.array([audio.lead_in(row) for row in placed])


def si_sdr(back: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Scale-invariant signal to distortion ratio, dB [B] (Le Roux et al., 2019)."""
    gain = (back * true).sum(-1, keepdims=True) / (true * true).sum(-1, keepdims=True)
    target = gain * true
    return 10 * np.log10((target**2).sum(-1) / (((back - target) ** 2).sum(-1) + 1e-12) + 1e-12)


@functools.cache
def mel_bands(bands: int, size: int) -> np.ndarray:
    """Which mel band between 20 Hz and 20 kHz each bin belongs to, as 0 / 1 [bands, size / 2 + 1]."""
    hz = np.fft.rfftfreq(size, 1 / RATE)
    low, high = (2595 * np.log10(1 + f / 700) for f in (20, 20_000))
    edges = 700 * (10 ** (np.linspace(low, high, bands + 1) / 2595) - 1)
    return ((hz >= edges[:-1, None]) & (hz < edges[1:, None])).astype(np.float32)


def log_mel_distance(back: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean difference of 80 mel bands' levels (1024 Hann, hop 256, floor -80 dB), dB [B]."""
    window, mel = torch.hann_window(1024), torch.from_numpy(mel_bands(80, 1024))

    def levels(x: np.ndarray) -> torch.Tensor:
        power = torch.stft(torch.from_numpy(x), 1024, 256, window=window, return_complex=True).abs() ** 2
        return 10 * torch.log10((mel @ power).clamp_min(1e-8))

    return (levels(back) - levels(true)).abs().mean((-1, -2)).numpy()


def level_errors(back: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Level error of 24 bands x 10 ms cells within 60 dB of the loudest, in dB, averaged over sounds."""

    def cells(x: np.ndarray) -> np.ndarray:
        frames = x[:, : x.shape[1] // 441 * 441].reshape(len(x), -1, 441) * np.hanning(441)
        return np.abs(np.fft.rfft(frames, 1024)) ** 2 @ mel_bands(24, 1024).T

    power, got = cells(true), cells(back)
    floor = power.max((1, 2), keepdims=True) * 1e-6
    active = power > floor
    error = 10 * np.log10(np.maximum(got, floor) / np.maximum(power, floor)) * active
    weighted = (np.abs(error) * power).sum((1, 2)) / power.sum((1, 2))
    return {
        "bias": float((error.sum((1, 2)) / active.sum((1, 2))).mean()),
        "weighted": float(weighted.mean()),
    }


def speeds(system: CodecUnderTest, kits: dict[str, list[np.ndarray]]) -> tuple[float, float]:
    """Encode and decode, in times real time on this thread: the best of three over 24 s without a silent
    frame (silent ones cost almost nothing)."""
    drums = np.concatenate([s[: RATE // 10] for name, v in kits.items() if name != "other" for s in v])
    x = torch.from_numpy(np.resize(drums, (6, 1, 4 * RATE)))
    codes = system.encode(x)
    return 24 / _best(lambda: system.encode(x)), 24 / _best(lambda: system.decode(codes))


def _best(work: Callable[[], Any], times: int = 3) -> float:
    """Seconds of processor time, which on one thread of an idle machine are seconds."""
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def use(codec: Codec, kits: dict[str, list[np.ndarray]]) -> list[dict[str, float]]:
    """Per codebook, over all sounds: share of entries used, perplexity, and the frames that were counted."""
    codes = [codec.encode(torch.from_numpy(s)[None, None])[0] for shots in kits.values() for s in shots]
    everything = torch.cat(codes, dim=1)
    sounding = everything[:, (everything != 0).any(0)]
    out = []
    for row in sounding:
        p = torch.bincount(row, minlength=codec.N).double()
        p = p / p.sum()
        entropy = float(-(p * p.clamp_min(1e-12).log()).sum())
        out.append(
            {
                "used": float((p > 0).double().mean()),
                "perplexity": float(np.exp(entropy)),
                "frames": row.numel(),
            }
        )
    return out


def time_dac(seconds: float) -> dict[str, Any]:
    """A DAC of the official size with random weights: upstream's way, ours, and ours with a bf16 decoder."""
    from dose.codec.dac import dac_random, with_path

    plain = dac_random(0, path="plain")
    x = 0.1 * torch.randn(1, 1, int(seconds * RATE), generator=torch.Generator().manual_seed(0))
    codes = plain.encode(x)
    ours, half = with_path(plain, "fast", "fp32"), with_path(plain, "fast", "bf16")
    agree = float((ours.encode(x) == codes).double().mean())
    took: dict[str, Any] = {
        "encode_plain_s": _best(lambda: plain.encode(x), 2),
        "encode_fast_s": _best(lambda: ours.encode(x), 2),
        "decode_plain_s": _best(lambda: plain.decode(codes), 2),
        "decode_fast_s": _best(lambda: ours.decode(codes), 2),
        "decode_bf16_s": _best(lambda: half.decode(codes), 2),
    }
    return took | {
        "seconds": seconds,
        "codes_equal": agree,
        "encode_ratio": took["encode_plain_s"] / took["encode_fast_s"],
        "decode_ratio": took["decode_plain_s"] / took["decode_fast_s"],
        "decode_bf16_ratio": took["decode_plain_s"] / took["decode_bf16_s"],
        "decode_auto": with_path(plain, "fast").choice.format,
    }


COLUMNS = {
    "mss": "MSS", "log_mel_db": "log-mel dB", "si_sdr_db": "SI-SDR dB", "band_bias_db": "bands dB",
    "band_error_db": "|bands| dB", "attack_ms_p95": "attack ms", "pre_echo_db_p95": "pre-echo dB",
}  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [f"| codec | sounds | n | {' | '.join(COLUMNS.values())} |", "|" + "---|" * (len(COLUMNS) + 3)]
    for name, got in figures["codecs"].items():
        for kind, row in got["classes"].items():
            cells = " | ".join(f"{row[c]:.2f}" for c in COLUMNS)
            lines.append(f"| {name} | {kind} | {figures['counts'][kind]} | {cells} |")
    paper = ", ".join(f"{k} {v}" for k, v in figures["paper_reconstruction_mss"].items())
    lines += ["", f"MSS of the paper's Reconstruction row, on other sounds and another scaling: {paper}.", ""]
    lines += ["| codec | kb/s | encode x real time | decode x real time |", "|---|---|---|---|"]
    for name, got in figures["codecs"].items():
        lines.append(
            f"| {name} | {got['bitrate'] / 1000:.2f} | {got['encode_x_realtime']:.0f} | "
            f"{got['decode_x_realtime']:.0f} |"
        )
    for got in figures["codecs"].values():
        if "use" in got:
            used = " ".join(f"{u['used']:.0%}" for u in got["use"])
            perplexity = " ".join(f"{u['perplexity']:.0f}" for u in got["use"])
            lines += [
                "",
                f"Entries used in {got['use'][0]['frames']} frames: {used}; perplexity {perplexity}.",
            ]
    if "dac_official_size" in figures:
        t = figures["dac_official_size"]
        lines += [
            "",
            f"DAC of the official size, random weights, {t['seconds']:g} s of sound on one thread: encode "
            f"{t['encode_plain_s']:.2f} s upstream's way, {t['encode_fast_s']:.2f} s ours "
            f"({t['encode_ratio']:.2f} x, {t['codes_equal']:.1%} of codes equal); decode "
            f"{t['decode_plain_s']:.2f} s, {t['decode_fast_s']:.2f} s ({t['decode_ratio']:.2f} x), "
            f"bf16 {t['decode_bf16_s']:.2f} s ({t['decode_bf16_ratio']:.2f} x); "
            f"auto takes {t['decode_auto']}.",
        ]
    return "\n".join(lines)
