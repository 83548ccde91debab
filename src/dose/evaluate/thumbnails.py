"""Small pictures of a sound for the listening page: a waveform as SVG, a spectrogram as PNG."""

import base64
import io

import numpy as np
import torch

from dose import audio
from dose.metrics.mss import magnitudes

WIDTH, HEIGHT = 168, 64  # pixels of a spectrogram
_RANGE_DB = 80.0


def waveform_svg(sound: np.ndarray, points: int = 120) -> str:
    """Mono [N] -> an <svg> of its minima and maxima, as wide as its container."""
    parts = np.array_split(sound, points)
    high = [50 - 48 * float(np.clip(p.max(initial=0), -1, 1)) for p in parts]
    low = [50 - 48 * float(np.clip(p.min(initial=0), -1, 1)) for p in parts]
    path = " ".join(f"{x},{y:.0f}" for x, y in [*enumerate(high), *reversed(list(enumerate(low)))])
    return (
        f'<svg class="wave" viewBox="0 0 {points - 1} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="{path}"/></svg>'
    )


def spectrogram_png(sound: np.ndarray) -> str:
    """Mono [N] -> data URI of a log-frequency spectrogram (50 Hz to 20 kHz, 80 dB under its maximum)."""
    import matplotlib
    from PIL import Image

    spectrum = magnitudes(torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None], 2048)[0].numpy()
    bins = np.geomspace(50, 20000, HEIGHT) / audio.RATE * 2048
    frames = np.linspace(0, spectrum.shape[1] - 1, WIDTH)
    picked = spectrum[bins.round().astype(int)][:, frames.round().astype(int)]
    level = 20 * np.log10(np.maximum(picked, 1e-9) / max(spectrum.max(), 1e-9))
    shade = matplotlib.colormaps["magma"](np.clip(1 + level / _RANGE_DB, 0, 1)[::-1], bytes=True)[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(shade).quantize(32).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
