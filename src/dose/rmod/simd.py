"""Eight numbers side by side in numba: vector registers by name.

A recurrence waits for its own last sample, so one sound through a filter is no vector code; eight sounds are.
Each lane is calculated as a single number would be, so the bytes are those of eight plain loops. (numba's own
way, NUMBA_SLP_VECTORIZE, finds such loops three times slower code, and some of them none.)

After a change here touch effects.py: numba's cache on disk knows a kernel by its own file only.
"""

import operator
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import lower_builtin, models, register_model

LANES = 8
intrinsic: Any = extending.intrinsic  # its own annotation counts the context as an argument


class SimdVector(types.Type):
    """A register of `count` float32 or float64."""

    def __init__(self, count: int, number: types.Type):
        self.count, self.number = count, number
        super().__init__(name=f"Lanes({count}, {number})")

    @property
    def vector(self) -> ir.Type:
        return ir.VectorType(ir.DoubleType() if self.number is types.float64 else ir.FloatType(), self.count)


@register_model(SimdVector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: SimdVector):
        super().__init__(manager, kind, kind.vector)


SINGLE, DOUBLE = SimdVector(LANES, types.float32), SimdVector(LANES, types.float64)
FOUR = SimdVector(4, types.float32)


def _arithmetic(operation: Callable, instruction: str) -> None:
    class Cases(ConcreteTemplate):  # type: ignore[misc]
        cases: ClassVar = [signature(kind, kind, kind) for kind in (SINGLE, DOUBLE, FOUR)]

    infer_global(operation)(Cases)
    for kind in (SINGLE, DOUBLE, FOUR):
        lower_builtin(operation, kind, kind)(lambda _c, b, _s, args: getattr(b, instruction)(*args))


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: ir.Type) -> Any:
    """The address of the lanes from array[index] on; array [M], without gaps."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(vector))


def _loader(lanes: SimdVector) -> Any:
    @intrinsic
    def load(_typing, array, index):
        def code(context, builder, sig, args):
            return builder.load(
                _place(context, builder, sig.args[0], args[0], args[1], lanes.vector), align=4
            )

        return lanes(array, types.intp), code

    return load


load, load_double, load_four = _loader(SINGLE), _loader(DOUBLE), _loader(FOUR)


@intrinsic
def store(_typing, array, index, lanes):
    """array[index : index + count] = lanes"""

    def code(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args[0], args[1], sig.args[2].vector)
        builder.store(args[2], place, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes), code


@intrinsic
def widen(_typing, lanes):
    return DOUBLE(SINGLE), lambda _c, builder, _s, args: builder.fpext(args[0], DOUBLE.vector)


@intrinsic
def narrow(_typing, lanes):
    return SINGLE(DOUBLE), lambda _c, builder, _s, args: builder.fptrunc(args[0], SINGLE.vector)


@intrinsic
def by_sign(_typing, test, rising, falling):
    """`rising` where test >= 0, else `falling`."""

    def code(_context, builder, _sig, args):
        zero = ir.Constant(SINGLE.vector, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">=", args[0], zero), args[1], args[2])

    return SINGLE(SINGLE, SINGLE, SINGLE), code


@intrinsic
def _transpose(_typing, source, start, stride, target, place, step):
    """target[place + step * r + c] = source[start + stride * c + r] for r and c below 8."""

    def code(context, builder, sig, args):
        source, start, stride, target, place, step = args

        def row(array: Any, kind: Any, first: Any, apart: Any, r: int) -> Any:
            index = builder.add(first, builder.mul(apart, ir.Constant(apart.type, r)))
            return _place(context, builder, kind, array, index, SINGLE.vector)

        def shuffled(a: Any, b: Any, order: list[int]) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
            return builder.shuffle_vector(a, b, mask)

        rows = [builder.load(row(source, sig.args[0], start, stride, r), align=4) for r in range(LANES)]
        for half in (4, 2, 1):  # blocks of that size off the diagonal change places
            for r in (r for r in range(LANES) if not r & half):
                a, b = rows[r], rows[r | half]
                rows[r] = shuffled(a, b, [LANES + k - half if k & half else k for k in range(LANES)])
                rows[r | half] = shuffled(a, b, [LANES + k if k & half else k + half for k in range(LANES)])
        for r in range(LANES):
            builder.store(rows[r], row(target, sig.args[3], place, step, r), align=4)
        return context.get_dummy_value()

    return types.none(source, types.intp, types.intp, target, types.intp, types.intp), code


@njit(cache=True, nogil=True)
def interleave(rows: np.ndarray, start: int, size: int, block: np.ndarray) -> None:
    """block[8 * n + lane] = rows[lane, start + n] for n < size, which is a multiple of 8; rows [8, M]."""
    flat, width = rows.reshape(-1), rows.shape[1]
    for n in range(0, size, LANES):
        _transpose(flat, start + n, width, block, LANES * n, LANES)


@njit(cache=True, nogil=True)
def spread(block: np.ndarray, rows: np.ndarray, start: int, size: int) -> None:
    """The way back: rows[lane, start + n] = block[8 * n + lane]."""
    flat, width = rows.reshape(-1), rows.shape[1]
    for n in range(0, size, LANES):
        _transpose(block, LANES * n, LANES, flat, start + n, width)
