"""SIMD vectors in numba: eight float32 or float64 numbers as one value.

A recursive filter waits for its own last sample, so one sound cannot be vectorised in time; eight sounds side
by side can. Each lane is computed as a scalar would be, so the bytes are those of eight scalar loops.
(numba's own option, NUMBA_SLP_VECTORIZE, makes code three times slower from such loops, or leaves them
scalar.)

After a change here touch the other modules of this package: numba's cache on disk identifies a kernel by the
file that defines it only.
"""

import operator
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

LANES = 8  # 8 float32 fill a 256-bit register (AVX2); 8 float64 fill two
CHUNK = 1024  # samples processed at a time: 8 lanes of float32 are 32 KiB, a level-1 cache
Real = float | np.float32
intrinsic: Any = extending.intrinsic  # its own annotation counts the context as an argument


class SimdVector(types.Type):
    """The numba type of a vector of `count` float32 or float64."""

    def __init__(self, count: int, number: types.Type):
        self.count, self.number = count, number
        super().__init__(name=f"SimdVector({count}, {number})")

    @property
    def vector(self) -> ir.Type:
        return ir.VectorType(ir.DoubleType() if self.number is types.float64 else ir.FloatType(), self.count)


@register_model(SimdVector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: SimdVector):
        super().__init__(manager, kind, kind.vector)


F32X8, F64X8 = SimdVector(LANES, types.float32), SimdVector(LANES, types.float64)
F32X4 = SimdVector(4, types.float32)


def _arithmetic(operation: Callable, instruction: str) -> None:
    """Compiles `operation` of two vectors to one LLVM instruction, without fast-math flags."""

    class Cases(ConcreteTemplate):  # type: ignore[misc]
        cases: ClassVar = [signature(kind, kind, kind) for kind in (F32X8, F64X8, F32X4)]

    # Type inference first, then the code generation for each vector type.
    infer_global(operation)(Cases)
    for kind in (F32X8, F64X8, F32X4):
        lower_builtin(operation, kind, kind)(lambda _c, b, _s, args: getattr(b, instruction)(*args))


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: ir.Type) -> Any:
    """Pointer to the vector that begins at array[index]; array [M], contiguous."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.PointerType(vector))


def _loader(kind: SimdVector) -> Any:
    """An intrinsic load(array, index): the vector array[index : index + count]."""

    @intrinsic
    def load(_typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.load(
                _address(context, builder, sig.args[0], args[0], args[1], kind.vector), align=4
            )

        return kind(array, types.intp), code

    return load


load_f32x8, load_f64x8, load_f32x4 = _loader(F32X8), _loader(F64X8), _loader(F32X4)


@intrinsic
def store(_typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + count] = vector"""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, sig.args[0], args[0], args[1], sig.args[2].vector)
        builder.store(args[2], address, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), code


@intrinsic
def widen(_typing: Any, vector: Any) -> Any:
    """float32 to float64."""
    return F64X8(F32X8), lambda _c, builder, _s, args: builder.fpext(args[0], F64X8.vector)


@intrinsic
def narrow(_typing: Any, vector: Any) -> Any:
    """float64 to float32."""
    return F32X8(F64X8), lambda _c, builder, _s, args: builder.fptrunc(args[0], F32X8.vector)


@intrinsic
def select_by_sign(_typing: Any, test: Any, rising: Any, falling: Any) -> Any:
    """`rising` where test >= 0, else `falling`."""

    def code(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        # An ordered comparison and a select per lane: no branch.
        zero = ir.Constant(F32X8.vector, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">=", args[0], zero), args[1], args[2])

    return F32X8(F32X8, F32X8, F32X8), code


@intrinsic
def _transpose(_typing: Any, source: Any, start: Any, stride: Any, target: Any, place: Any, step: Any) -> Any:
    """Transposes 8 x 8: target[place + step * r + c] = source[start + stride * c + r] for r and c below 8."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source, start, stride, target, place, step = args

        def row(array: Any, kind: Any, first: Any, distance: Any, r: int) -> Any:
            index = builder.add(first, builder.mul(distance, ir.Constant(distance.type, r)))
            return _address(context, builder, kind, array, index, F32X8.vector)

        def shuffled(a: Any, b: Any, order: list[int]) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
            return builder.shuffle_vector(a, b, mask)

        rows = [builder.load(row(source, sig.args[0], start, stride, r), align=4) for r in range(LANES)]
        # Recursive block transpose: off-diagonal blocks of size 4, 2 and 1 are exchanged by shuffles.
        for half in (4, 2, 1):
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
    """Rows [8, M] to block [size, 8]: block[8 * n + lane] = rows[lane, start + n]; size divides by 8."""
    flat, width = rows.reshape(-1), rows.shape[1]
    for n in range(0, size, LANES):
        _transpose(flat, start + n, width, block, LANES * n, LANES)


@njit(cache=True, nogil=True)
def deinterleave(block: np.ndarray, rows: np.ndarray, start: int, size: int) -> None:
    """The inverse of `interleave`: rows[lane, start + n] = block[8 * n + lane]."""
    flat, width = rows.reshape(-1), rows.shape[1]
    for n in range(0, size, LANES):
        _transpose(block, LANES * n, LANES, flat, start + n, width)
