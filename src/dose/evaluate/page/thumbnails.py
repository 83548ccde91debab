"""Thumbnails of a sound for listening pages: the waveform as SVG, the spectrogram as PNG."""

import base64
import io

import numpy as np
import torch

from dose import audio
from dose.metrics.mss import magnitudes

WIDTH, HEIGHT = 168, 64  # pixels of a spectrogram: a card's width, at a few kB each
LOW_HZ, HIGH_HZ, RANGE_DB = 50, 20000, 80.0
FFT = 2048


def waveform_svg(sound: np.ndarray, points: int = 120) -> str:
    """Mono [N] -> an <svg> of its minima and maxima, as wide as its container."""
    segments = np.array_split(sound, points)
    # y = 50 is zero in a view box of height 100; 48 leaves a margin.
    high = [50 - 48 * float(np.clip(s.max(initial=0), -1, 1)) for s in segments]
    low = [50 - 48 * float(np.clip(s.min(initial=0), -1, 1)) for s in segments]
    # One closed polygon: along the maxima and back along the minima.
    path = " ".join(f"{x},{y:.0f}" for x, y in [*enumerate(high), *reversed(list(enumerate(low)))])
    return (
        f'<svg class="wave" viewBox="0 0 {points - 1} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="{path}"/></svg>'
    )


def spectrogram_png(sound: np.ndarray) -> str:
    """Mono [N] -> data URI of a log-frequency spectrogram (50 Hz to 20 kHz, 80 dB under its maximum)."""
    import matplotlib
    from PIL import Image

    waveform = torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None]
    spectrum = magnitudes(waveform, FFT)[0].numpy()  # [FFT / 2 + 1, frames]
    # Nearest bin and frame of each pixel: logarithmic in frequency, linear in time.
    bins = np.geomspace(LOW_HZ, HIGH_HZ, HEIGHT) / audio.RATE * FFT
    frames = np.linspace(0, spectrum.shape[1] - 1, WIDTH)
    pixels = spectrum[bins.round().astype(int)][:, frames.round().astype(int)]  # [HEIGHT, WIDTH]
    level = 20 * np.log10(np.maximum(pixels, 1e-9) / max(spectrum.max(), 1e-9))
    # Row 0 of an image is its top, so the highest frequency comes first.
    colours = matplotlib.colormaps["magma"](np.clip(1 + level / RANGE_DB, 0, 1)[::-1], bytes=True)[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(colours).quantize(32).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
