"""Nested columns: many mix specifications at once, as arrays, before they are single ones or an Arrow table.

A node holds one value for each of B rows: an array [B]; a dict of nodes (a struct); or one of the classes
below. `row` and `arrow` give the same values, so a specification drawn alone equals its row in the table.
"""

import dataclasses
import functools
import types
import typing
from typing import Any, TypeVar, Union

import numpy as np

T = TypeVar("T")
Node = Union[np.ndarray, dict[str, "Node"], "Coded", "Lists", "Many", "Maybe"]


@dataclasses.dataclass(frozen=True)
class Coded:
    """Texts as dictionary codes: an index [B] into `names`."""

    codes: np.ndarray
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Lists:
    """The first counts[b] numbers of values[b]; values [B, M]."""

    values: np.ndarray
    counts: np.ndarray


@dataclasses.dataclass(frozen=True)
class Many:
    """The first counts[b] of the nodes `items`, which have one type."""

    items: tuple[Node, ...]
    counts: np.ndarray


@dataclasses.dataclass(frozen=True)
class Maybe:
    """A node where present [B] is true, null elsewhere."""

    present: np.ndarray
    node: Node


def row(node: Node, b: int) -> Any:
    """Row b as plain values: numbers, texts, dicts, lists, None."""
    if isinstance(node, dict):
        return {name: row(child, b) for name, child in node.items()}
    if isinstance(node, Coded):
        return node.names[node.codes[b]]
    if isinstance(node, Lists):
        return node.values[b, : node.counts[b]].tolist()
    if isinstance(node, Many):
        return [row(item, b) for item in node.items[: node.counts[b]]]
    if isinstance(node, Maybe):
        return row(node.node, b) if node.present[b] else None
    return node[b].item()


def arrow(node: Node) -> Any:
    """The node as a pyarrow array."""
    import pyarrow as pa

    if isinstance(node, dict):
        return pa.StructArray.from_arrays([arrow(c) for c in node.values()], names=list(node))
    if isinstance(node, Coded):
        return pa.DictionaryArray.from_arrays(pa.array(node.codes.astype(np.int32)), pa.array(node.names))
    if isinstance(node, Lists):
        used = np.arange(node.values.shape[1]) < node.counts[:, None]  # [B, M]
        return pa.ListArray.from_arrays(_offsets(node.counts), pa.array(node.values[used]))
    if isinstance(node, Many):
        used = np.arange(len(node.items)) < node.counts[:, None]  # [B, items]
        return pa.ListArray.from_arrays(_offsets(node.counts), arrow(_interleave(node.items, used)))
    if isinstance(node, Maybe):
        whole = arrow(node.node)
        mask = pa.array(~node.present)
        # Arrow's if_else does not accept structs: the null mask is set on a new array of the same children.
        if isinstance(whole, pa.StructArray):
            return pa.StructArray.from_arrays(whole.flatten(), fields=list(whole.type), mask=mask)
        return pa.compute.if_else(mask, None, whole)
    return pa.array(node)


def _offsets(counts: np.ndarray) -> np.ndarray:
    """Arrow's list offsets: [B + 1] starts of the rows' lists in the flat values."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _interleave(nodes: tuple[Node, ...], used: np.ndarray) -> Node:
    """Nodes of B rows as one node of used.sum() rows, row after row; used [B, len(nodes)]."""
    first = nodes[0]
    if isinstance(first, dict):
        return {k: _interleave(tuple(n[k] for n in nodes), used) for k in first}  # type: ignore[index, call-overload]
    if isinstance(first, Coded):
        codes = np.stack([n.codes for n in nodes], axis=1)  # type: ignore[union-attr]
        return Coded(codes[used], first.names)
    if isinstance(first, np.ndarray):
        values: np.ndarray = np.stack(nodes, axis=1)[used]  # type: ignore[arg-type]
        return values
    raise TypeError(f"{type(first).__name__} cannot stand inside a list")


def build(cls: type[T], values: Any) -> T:
    """Plain values, as `row` and a table give them, as the dataclass `cls`; every field must be there."""
    built: T = _build(cls, values)
    return built


def _build(hint: Any, value: Any) -> Any:
    # A dataclass: every field by its own annotation.
    if dataclasses.is_dataclass(hint):
        hints = _hints(hint)  # type: ignore[arg-type]
        return hint(**{name: _build(h, value[name]) for name, h in hints.items()})  # type: ignore[operator]
    origin = typing.get_origin(hint)
    # A tuple of one element type; numbers need no conversion.
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        if inner in (int, float):
            return tuple(value)
        return tuple(_build(inner, v) for v in value)
    # Only `X | None` occurs.
    if origin in (Union, types.UnionType):
        inner = next(a for a in typing.get_args(hint) if a is not type(None))
        return None if value is None else _build(inner, value)
    return value


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)
