"""The decoding step of static shapes, and its capture as a CUDA graph.

At the authors' size a step is some 150 kernels of a few microseconds each: launched one by one, a GPU waits
for the CPU. A graph launches them at once. For that every shape stays the same: attention runs over the whole
cache under a mask, and where to write is a number on the device.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from dose.model.engine import DecodingEngine, KVCache

WARM_UPS = 3  # steps before the capture, so that libraries have chosen their kernels


@torch.inference_mode()
def static_step(engine: DecodingEngine, x: Tensor, cache: KVCache, place: Tensor) -> Tensor:
    """`Engine.step` with the row to fill given as a tensor `place` [1], int64: logits [B, K, V] (fp32).

    Leaves `cache.length` alone.
    """
    seen = (torch.arange(cache.kv.shape[4], device=x.device) <= place)[None]  # [1, rows]
    rotation = None if cache.rotation is None else cache.rotation.index_select(1, place)
    for i, layer in enumerate(engine.few):
        q, kv = engine.qkv(layer, x, rotation, engine.dtype)
        keys, values = cache.layers[i].index_copy_(3, place, kv)
        x = engine.finish(
            layer, x, F.scaled_dot_product_attention(q, keys, values, attn_mask=seen), engine.dtype
        )
    return engine.logits(x)


class GraphedStep:
    """`Engine.step` for one cache, recorded once and replayed. CUDA only."""

    @torch.inference_mode()
    def __init__(self, engine: DecodingEngine, cache: KVCache) -> None:
        self.cache = cache
        device = cache.kv.device
        self.x = torch.zeros(cache.kv.shape[2], 1, engine.config.width, device=device)
        self.place = torch.full((1,), cache.length, device=device)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):  # what these write at `place`, the first replay overwrites
            for _ in range(WARM_UPS):
                static_step(engine, self.x, cache, self.place)
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # others may serve meanwhile
            self.said = static_step(engine, self.x, cache, self.place)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """One embedded row per request [B, 1, d]; its logits [B, K, V] (fp32)."""
        self.x.copy_(x)
        self.place.fill_(self.cache.length)
        self.graph.replay()
        self.cache.length += 1
        return self.said.clone()
