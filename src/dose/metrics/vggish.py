"""VGGish: the embedding of the Frechet audio distance as first published.

Input: mono at 16 kHz; magnitude STFT (400-sample periodic Hann, hop 160, FFT 512), 64 mel bands from 125 to
7500 Hz (HTK mel, bin 0 unused), log(x + 0.01), examples of 96 frames (0.96 s; a sound shorter than 0.975 s is
padded with zeros). Network: VGG-A with four pooled stages and three linear layers, 128 values. As in the
default of frechet-audio-distance, the last ReLU, PCA and quantisation are left out. Parameters carry the
names of the checkpoint vggish-10086976.pth (torchvggish). Source: Hershey et al., ICASSP 2017.
"""

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Every number below belongs to the published network's input or layers; none is a choice of this project.
RATE, WINDOW, HOP, FFT = 16000, 400, 160, 512
BANDS, LOW_HZ, HIGH_HZ, OFFSET = 64, 125.0, 7500.0, 0.01
FRAMES = 96
MIN_SAMPLES = WINDOW + (FRAMES - 1) * HOP  # 0.975 s
STAGES = ((64,), (128,), (256, 256), (512, 512))


class VGGish(nn.Module):
    """Examples [B, 1, 96, 64] to embeddings [B, 128]."""

    def __init__(self) -> None:
        super().__init__()
        # Convolutions of each stage, then 2 x 2 pooling: 96 x 64 becomes 6 x 4 after four stages.
        layers: list[nn.Module] = []
        inputs = 1
        for widths in STAGES:
            for outputs in widths:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128)
        )

    def forward(self, examples: Tensor) -> Tensor:
        # The checkpoint's linear layers were fitted to TensorFlow's order: time, band, channel.
        maps = self.features(examples).permute(0, 2, 3, 1)  # [B, 512, 6, 4] -> [B, 6, 4, 512]
        embeddings: Tensor = self.embeddings(maps.flatten(1))
        return embeddings


class VGGishEmbedder:
    """Shots [B, 44100] -> [B, W, 128], W whole examples of 0.96 s (1 for a shot of 1 s)."""

    name = "vggish"

    def __init__(self, net: VGGish, digest: str) -> None:
        self.net, self.id = net.eval(), f"vggish-{digest}"

    def embed(self, shots: np.ndarray) -> np.ndarray:
        inputs = examples(torch.from_numpy(at_16k(shots)))  # [B, W, 96, 64]
        with torch.inference_mode():
            out: Tensor = self.net(inputs.flatten(0, 1)[:, None])  # [B * W, 128]
        return out.view(*inputs.shape[:2], -1).numpy()


def at_16k(sounds: np.ndarray) -> np.ndarray:
    """[B, N] at 44.1 kHz -> float32 [B, N * 160 / 441] through resampy's "kaiser_best" filter.

    Published FADs come through that filter, whose edge lies at 7.3 kHz; a sharper one moves a FAD by 1 %.
    As one polyphase filter (scipy) it takes a tenth of resampy's time.
    """
    from scipy.signal import upfirdn

    out: np.ndarray = upfirdn(_resampler(), sounds, up=160, down=441, axis=-1)
    # The filter reaches 50 output samples (its zero crossings) to each side: that is its delay.
    return out[..., 50 : 50 + sounds.shape[-1] * 160 // 441].astype(np.float32)


@functools.cache
def _resampler() -> np.ndarray:
    """Windowed sinc over 50 zero crossings to each side, on the grid of 160 x 44.1 kHz."""
    # resampy's "kaiser_best": zero crossings, Kaiser beta and roll-off from its published filter.
    zeros, beta, edge, ratio = 50, 12.984585247040012, 0.9173473712608761, 160 / 441
    t = np.arange(-zeros * 441, zeros * 441 + 1) * ratio / 160  # in zero crossings
    window = np.i0(beta * np.sqrt(np.maximum(0, 1 - (t / zeros) ** 2))) / np.i0(beta)
    response: np.ndarray = ratio * edge * np.sinc(edge * t) * window
    return response


def examples(sound: Tensor) -> Tensor:
    """[B, N] at 16 kHz -> log-mel examples [B, W, 96, 64]; a remainder at the end is dropped."""
    sound = F.pad(sound, (0, max(0, MIN_SAMPLES - sound.shape[-1])))
    # [B, frames, 400]
    frames = sound.unfold(-1, WINDOW, HOP) * torch.hann_window(WINDOW, periodic=True)
    log_mel = torch.log(torch.fft.rfft(frames, FFT).abs() @ mel_weights() + OFFSET)  # [B, frames, 64]
    count = log_mel.shape[1] // FRAMES
    return log_mel[:, : count * FRAMES].view(len(sound), count, FRAMES, BANDS)


@functools.cache
def mel_weights() -> Tensor:
    """Triangular filters in mel [FFT / 2 + 1, 64], not normalised by their width."""
    mels = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    bins = _mel(np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    rising = (bins - mels[:-2]) / (mels[1:-1] - mels[:-2])
    falling = (mels[2:] - bins) / (mels[2:] - mels[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    weights[0] = 0  # as in the published front end
    return torch.from_numpy(weights.astype(np.float32))


def _mel(hz: float | np.ndarray) -> np.ndarray:
    """HTK's mel scale, with natural logarithms."""
    mel: np.ndarray = 1127.0 * np.log1p(np.asarray(hz) / 700.0)
    return mel
