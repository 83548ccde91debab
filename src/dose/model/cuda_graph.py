"""The decoding step of static shapes, and its capture as a CUDA graph.

At the authors' size a step is about 150 kernels of a few microseconds each; launched one by one, they leave
the GPU waiting for the CPU. A graph launches all of them at once. It requires static shapes: attention runs
over the whole cache under a mask, and the position to write to is a number on the device.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from dose.model.engine import DecodingEngine, KVCache

WARM_UPS = 3  # steps before the capture, in which libraries choose their kernels; torch's own examples run 3


@torch.inference_mode()
def static_step(engine: DecodingEngine, x: Tensor, cache: KVCache, position: Tensor) -> Tensor:
    """`DecodingEngine.step` with the position to fill as a tensor [1], int64: logits [B, K, V] (fp32).

    Does not change `cache.length`.
    """
    visible = (torch.arange(cache.kv.shape[4], device=x.device) <= position)[None]  # [1, cache steps]
    rotation = None if cache.rotation is None else cache.rotation.index_select(1, position)
    for i, layer in enumerate(engine.step_layers):
        q, kv = engine.qkv(layer, x, rotation, engine.dtype)
        keys, values = cache.layers[i].index_copy_(3, position, kv)
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=visible)
        x = engine.after_attention(layer, x, y, engine.dtype)
    return engine.logits(x)


class GraphedStep:
    """`DecodingEngine.step` for one cache, captured once and replayed. CUDA only."""

    @torch.inference_mode()
    def __init__(self, engine: DecodingEngine, cache: KVCache) -> None:
        self.cache = cache
        device = cache.kv.device
        self.x = torch.zeros(cache.kv.shape[2], 1, engine.config.width, device=device)
        self.position = torch.full((1,), cache.length, device=device)
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):  # what these write at `position`, the first replay overwrites
            for _ in range(WARM_UPS):
                static_step(engine, self.x, cache, self.position)
        torch.cuda.current_stream().wait_stream(side_stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            self.graph, capture_error_mode="thread_local"
        ):  # other threads may run meanwhile
            self.logits = static_step(engine, self.x, cache, self.position)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """One embedded step per request [B, 1, d] to its logits [B, K, V] (fp32)."""
        self.x.copy_(x)
        self.position.fill_(self.cache.length)
        self.graph.replay()
        self.cache.length += 1
        return self.logits.clone()
