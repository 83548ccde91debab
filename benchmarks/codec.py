"""Codec reconstruction of drums of the test split: quality, codebook use, speed on one thread.

Sounds: the test split of the bundled samples (recorded kits) and of the procedural drums; with `--library`,
that of any sample library that the stage `sources` made, such as one with all packages' kits. Metrics, per
class: MSS (metrics.mss) and log-mel distance (80 bands, dB) between one-shots of peak 1; SI-SDR in dB; level
error of 24 mel bands in frames of 10 ms, in dB: signed mean, and mean magnitude weighted by energy; attack
error (metrics.attack, ms, 95th percentile) and pre-echo (loudest sample more than 1 ms before the onset, dB
under the peak, 95th percentile), both with the hit at random offsets to the codec's frame grid after silence.
"""

import argparse
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dose import audio, compute
from dose.audio import RATE
from dose.codec import Codec, load_codec
from dose.codec.store import BUNDLED
from dose.drums import DRUMS, INSTRUMENTS
from dose.errors import DoseError

SHOT = RATE  # samples, 1 s
LEAD, PLACED = 2048, 20_000  # samples of silence before a placed hit, and of the hit itself
OFFICIAL, ENCODEC = Path("weights/dac_44khz_8kbps.pth"), Path("weights/encodec_24khz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codec", type=Path, default=BUNDLED, help="codec folder (default: the shipped one)")
    parser.add_argument(
        "--library",
        "--catalogue",  # old name
        type=Path,
        dest="library",
        help="test on this sample library's test split (such as data/sources); formerly --catalogue",
    )
    parser.add_argument("--procedural", type=int, default=16, help="synthetic drums per class (default 16)")
    parser.add_argument("--official", type=Path, default=OFFICIAL, help=f"DAC's weights (default {OFFICIAL})")
    parser.add_argument("--encodec", type=Path, default=ENCODEC, help=f"folder of EnCodec 24 kHz ({ENCODEC})")
    parser.add_argument(
        "--dac-seconds",
        type=float,
        default=1.0,
        help="length of the sound on which a DAC of the official size is timed; 0 = none",
    )
    parser.add_argument(
        "--card", action="store_true", help="write the figures into the codec's MODEL_CARD.md"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    codec = load_codec(args.codec)
    kits = recorded(args.library) | synthetic(args.procedural)
    figures: dict[str, Any] = {"codecs": {}, "counts": {k: len(v) for k, v in kits.items()}}
    with compute.torch_threads(1):
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

        timed = f"\n\nTimes: one thread of {compute.machine()}."
        write_card(args.codec, figures, table(figures) + timed)
    return figures


def recorded(folder: Path | None) -> dict[str, list[np.ndarray]]:
    """Recorded one-shots of the test split, [44100] of peak 1, by drum; "other" are loops."""
    out: dict[str, list[np.ndarray]] = {name: [] for name in (*DRUMS, "other")}
    for cls, sound in _from_library(folder) if folder else _bundled():
        if cls in DRUMS:
            out[cls].append(_shot(sound))
        elif cls in INSTRUMENTS:
            out["other"].append(np.asarray(sound, np.float32))
    return {k: v for k, v in out.items() if v}


def _bundled() -> Iterator[tuple[str, np.ndarray]]:
    from dose.sources import shipped

    yield from ((item.cls, item.load()) for item in shipped.source_items() if item.split == "test")


def _from_library(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    from dose.sources.library import SampleLibrary

    library = SampleLibrary.load(folder)
    for cls in DRUMS + INSTRUMENTS:
        for clip in library.select(cls, "test"):
            if clip.source != "procedural":
                yield cls, library.audio(clip.id)


def synthetic(count: int) -> dict[str, list[np.ndarray]]:
    """`count` procedural one-shots of the test split per drum, by "drum, synthetic"."""
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
    """Encoder, decoder and bit rate (bit/s) of any codec, as a round trip of [B, N]."""

    def __init__(
        self, encode: Callable[[torch.Tensor], Any], decode: Callable[[Any], torch.Tensor], bitrate: float
    ):
        self.encode, self.decode, self.bitrate = encode, decode, bitrate

    def __call__(self, shots: np.ndarray) -> np.ndarray:
        """[B, N] float32 to the same shape, 44.1 kHz."""
        back = self.decode(self.encode(torch.from_numpy(shots)[:, None]))
        return audio.fit_length(back[:, 0].float().numpy(), shots.shape[1])


def systems(codec: Codec, official: Path, encodec: Path) -> dict[str, CodecUnderTest]:
    """The codecs that are available here, by name."""
    out = {
        "compact" if codec.kind == "compact" else "codec": CodecUnderTest(
            codec.encode, codec.decode, codec.bitrate
        )
    }
    if official.is_file():
        from dose.codec.official import read_official

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
            f"{folder} does not hold EnCodec as transformers saves it ({e}); remove or replace it."
        ) from e

    def encode(x: torch.Tensor) -> torch.Tensor:
        low = torch.from_numpy(audio.resample(x.numpy().reshape(-1, x.shape[-1]), RATE, 24_000))[:, None]
        with torch.inference_mode():
            codes: torch.Tensor = model.encode(low, bandwidth=6.0).audio_codes
        return codes

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
        reference = np.stack(shots)  # [B, N]
        decoded = system(reference)
        placed, onsets = place(shots)
        decoded_placed = system(placed)
        # The loudest sample more than 1 ms before each onset.
        before = [
            np.abs(decoded_placed[i, : max(onset - RATE // 1000, 1)]).max() for i, onset in enumerate(onsets)
        ]
        level = level_errors(decoded, reference)
        out["classes"][name] = {
            "mss": float(mss(decoded, reference).mean()),
            "log_mel_db": float(log_mel_distance(decoded, reference).mean()),
            "si_sdr_db": float(np.mean(si_sdr(decoded, reference))),
            "si_sdr_median_db": float(np.median(si_sdr(decoded, reference))),
            "band_bias_db": level["bias"],
            "band_error_db": level["weighted"],
            "attack_ms_p95": float(np.nanpercentile(attack_error(decoded_placed, placed), 95)),
            "pre_echo_db_p95": float(np.percentile(audio.db(np.array(before)), 95)),
        }
    out["encode_x_realtime"], out["decode_x_realtime"] = speeds(system, kits)
    return out


def place(shots: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Hits [B, N] after silence, at random offsets to the frame grid; and their onsets (-40 dB)."""
    rng = np.random.default_rng(0)
    rows = []
    for shot in shots:
        lead = LEAD + int(rng.integers(512))
        rows.append(
            audio.fit_length(np.concatenate([np.zeros(lead, np.float32), shot[:PLACED]]), LEAD + 512 + PLACED)
        )
    placed = np.stack(rows)
    return placed, np.array([audio.lead_in(row) for row in placed])


def si_sdr(decoded: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scale-invariant signal to distortion ratio, dB [B] (Le Roux et al., 2019)."""
    # The reference, scaled to be the projection of the decoded sound onto it.
    gain = (decoded * reference).sum(-1, keepdims=True) / (reference * reference).sum(-1, keepdims=True)
    target = gain * reference
    error = decoded - target
    ratio: np.ndarray = 10 * np.log10((target**2).sum(-1) / ((error**2).sum(-1) + 1e-12) + 1e-12)
    return ratio


@functools.cache
def mel_bands(bands: int, size: int) -> np.ndarray:
    """Which mel band between 20 Hz and 20 kHz each bin belongs to, as 0 / 1 [bands, size / 2 + 1]."""
    # The HTK mel scale: 2595 log10(1 + f / 700).
    hz = np.fft.rfftfreq(size, 1 / RATE)
    low, high = (2595 * np.log10(1 + f / 700) for f in (20, 20_000))
    edges = 700 * (10 ** (np.linspace(low, high, bands + 1) / 2595) - 1)
    inside: np.ndarray = (hz >= edges[:-1, None]) & (hz < edges[1:, None])
    return inside.astype(np.float32)


def log_mel_distance(decoded: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Mean difference of 80 mel bands' levels (1024 Hann, hop 256, floor -80 dB), dB [B]."""
    # A floor of 1e-8 in power is -80 dB.
    window, mel = torch.hann_window(1024), torch.from_numpy(mel_bands(80, 1024))

    def levels(x: np.ndarray) -> torch.Tensor:
        power = torch.stft(torch.from_numpy(x), 1024, 256, window=window, return_complex=True).abs() ** 2
        return 10 * torch.log10((mel @ power).clamp_min(1e-8))

    distance: np.ndarray = (levels(decoded) - levels(reference)).abs().mean((-1, -2)).numpy()
    return distance


def level_errors(decoded: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Level error in 24 bands x 10 ms, where within 60 dB of the loudest, in dB, averaged over sounds."""

    def band_power(x: np.ndarray) -> np.ndarray:
        frames = x[:, : x.shape[1] // 441 * 441].reshape(len(x), -1, 441) * np.hanning(441)
        power: np.ndarray = np.abs(np.fft.rfft(frames, 1024)) ** 2 @ mel_bands(24, 1024).T  # [B, T, 24]
        return power

    # Positions more than 60 dB below the loudest do not count.
    power, found = band_power(reference), band_power(decoded)
    floor = power.max((1, 2), keepdims=True) * 1e-6
    active = power > floor
    error = 10 * np.log10(np.maximum(found, floor) / np.maximum(power, floor)) * active
    weighted = (np.abs(error) * power).sum((1, 2)) / power.sum((1, 2))
    return {
        "bias": float((error.sum((1, 2)) / active.sum((1, 2))).mean()),
        "weighted": float(weighted.mean()),
    }


def speeds(system: CodecUnderTest, kits: dict[str, list[np.ndarray]]) -> tuple[float, float]:
    """Encoding and decoding speed in times real time on this thread: the best of three over 24 s of sound.

    The sound has no silent frame, since those cost almost nothing.
    """
    # The first 100 ms of each drum, repeated to 6 mixes of 4 s: [6, 1, 176400].
    drums = np.concatenate([s[: RATE // 10] for name, v in kits.items() if name != "other" for s in v])
    x = torch.from_numpy(np.resize(drums, (6, 1, 4 * RATE)))
    codes = system.encode(x)
    return 24 / _best(lambda: system.encode(x)), 24 / _best(lambda: system.decode(codes))


def _best(work: Callable[[], Any], times: int = 3) -> float:
    """Seconds of processor time of the fastest run; other processes do not count."""
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def use(codec: Codec, kits: dict[str, list[np.ndarray]]) -> list[dict[str, float]]:
    """Per codebook, over all sounds: share of entries used, perplexity, and the number of sounding frames."""
    codes = [codec.encode(torch.from_numpy(s)[None, None])[0] for shots in kits.values() for s in shots]
    everything = torch.cat(codes, dim=1)
    # Silent frames, which are code 0 in every codebook, do not count: [K, sounding frames].
    sounding = everything[:, (everything != 0).any(0)]
    out = []
    for book in sounding:  # the codes of one codebook, [frames]
        p = torch.bincount(book, minlength=codec.N).double()
        p = p / p.sum()
        # Perplexity: the size of a codebook with equally frequent entries and the same entropy.
        entropy = float(-(p * p.clamp_min(1e-12).log()).sum())
        out.append(
            {
                "used": float((p > 0).double().mean()),
                "perplexity": float(np.exp(entropy)),
                "frames": book.numel(),
            }
        )
    return out


def time_dac(seconds: float) -> dict[str, Any]:
    """A DAC of the official size with random weights: both backends, and the fast one with a bf16 decoder."""
    from dose.codec.dac import dac_random, with_backend

    # Codes of both backends are compared on noise, which uses many entries.
    plain = dac_random(0, backend="plain")
    x = 0.1 * torch.randn(1, 1, int(seconds * RATE), generator=torch.Generator().manual_seed(0))
    codes = plain.encode(x)
    ours, half = with_backend(plain, "fast", "fp32"), with_backend(plain, "fast", "bf16")
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
        "decode_auto": with_backend(plain, "fast").choice.format,
    }


COLUMNS = {
    "mss": "MSS", "log_mel_db": "log-mel dB", "si_sdr_db": "SI-SDR dB", "band_bias_db": "bands dB",
    "band_error_db": "|bands| dB", "attack_ms_p95": "attack ms", "pre_echo_db_p95": "pre-echo dB",
}  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [f"| codec | sounds | n | {' | '.join(COLUMNS.values())} |", "|" + "---|" * (len(COLUMNS) + 3)]
    for name, result in figures["codecs"].items():
        for kind, scores in result["classes"].items():
            columns = " | ".join(f"{scores[c]:.2f}" for c in COLUMNS)
            lines.append(f"| {name} | {kind} | {figures['counts'][kind]} | {columns} |")
    paper = ", ".join(f"{k} {v}" for k, v in figures["paper_reconstruction_mss"].items())
    lines += ["", f"MSS of the paper's Reconstruction row, on other sounds and another scaling: {paper}.", ""]
    lines += ["| codec | kb/s | encode x real time | decode x real time |", "|---|---|---|---|"]
    for name, result in figures["codecs"].items():
        lines.append(
            f"| {name} | {result['bitrate'] / 1000:.2f} | {result['encode_x_realtime']:.0f} | "
            f"{result['decode_x_realtime']:.0f} |"
        )
    for result in figures["codecs"].values():
        if "use" in result:
            used = " ".join(f"{u['used']:.0%}" for u in result["use"])
            perplexity = " ".join(f"{u['perplexity']:.0f}" for u in result["use"])
            lines += [
                "",
                f"Entries used in {result['use'][0]['frames']} frames: {used}; perplexity {perplexity}.",
            ]
    if "dac_official_size" in figures:
        t = figures["dac_official_size"]
        lines += [
            "",
            f"DAC of the official size, random weights, {t['seconds']:g} s of sound on one thread: encode "
            f"{t['encode_plain_s']:.2f} s upstream, {t['encode_fast_s']:.2f} s here "
            f"({t['encode_ratio']:.2f} x, {t['codes_equal']:.1%} of codes equal); decode "
            f"{t['decode_plain_s']:.2f} s, {t['decode_fast_s']:.2f} s ({t['decode_ratio']:.2f} x), "
            f"bf16 {t['decode_bf16_s']:.2f} s ({t['decode_bf16_ratio']:.2f} x); "
            f"auto takes {t['decode_auto']}.",
        ]
    return "\n".join(lines)
