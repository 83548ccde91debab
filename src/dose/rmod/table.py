"""The table of mix specifications: parquet files with one exact row per mix, and SQL over them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dose.drums import DRUMS, INSTRUMENTS
from dose.errors import DoseError, MissingInputError
from dose.files import atomic
from dose.rmod.columns import arrow
from dose.rmod.config import RmodConfig
from dose.rmod.draw import draw_block

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

FOLDER = "mix_specs"  # below data/rmod, and the name of the view
PART = 25_000  # rows of one file: 40 files for a million, by hand
BLOCK = 5_000  # rows drawn at a time, and of one row group: bounds a worker's memory, by hand
SPLITS = ("train", "val", "test", "groove")


def part_path(root: Path, split: str, start: int) -> Path:
    return root / FOLDER / split / f"{start:09d}.parquet"


def write_part(
    config: RmodConfig, library: "SampleLibrary", split: str, start: int, stop: int, path: Path
) -> None:
    """Draws mix specifications start..stop and writes them as one parquet file, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # One row group per block, so that memory does not grow with the part.
    with atomic(path) as beside:
        writer = None
        for first in range(start, stop, BLOCK):
            block = draw_block(config, library, split, first, min(first + BLOCK, stop))
            table = pa.table({name: arrow(node) for name, node in block.items()})
            if writer is None:
                writer = pq.ParquetWriter(
                    beside, table.schema, compression="zstd", use_dictionary=_texts(table)
                )
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _texts(table: Any) -> list[str]:
    """Leaf columns to dictionary-encode: texts. Reals rarely repeat, and a dictionary slows the writer."""
    import pyarrow as pa

    found = []

    def walk(kind: Any, path: str) -> None:
        if pa.types.is_struct(kind):
            for field in kind:
                walk(field.type, f"{path}.{field.name}")
        elif pa.types.is_list(kind):
            walk(kind.value_type, f"{path}.list.element")
        elif pa.types.is_dictionary(kind):
            found.append(path)

    for field in table.schema:
        walk(field.type, field.name)
    return found


def query(root: Path | str, where: str, *, columns: str = "split, index", limit: int = 50) -> Any:
    """Rows of the view `mix_specs` that satisfy `where`, as a pandas DataFrame.

    The view has every field of `MixSpec` as a column (structs: kick.layers[1].kit, bass.semitones, ...) and
    the lists `instruments` (those that play), `clips`, `kits` and `licences`. Raises DoseError for SQL that
    does not run, MissingInputError where there is no table.
    """
    import duckdb

    folder = Path(root) / FOLDER
    if not any(folder.glob("*/*.parquet")):
        raise MissingInputError(f"{folder} holds no mix specifications; run `dvc repro rmod`.")
    # An in-memory database with one view; the parquet files are read as the query needs them.
    base = duckdb.connect()
    base.execute(_view(Path(root)))
    try:
        return base.execute(f"SELECT {columns} FROM {FOLDER} WHERE {where} LIMIT {int(limit)}").df()
    except duckdb.Error as e:
        raise DoseError(f"The query does not run: {' '.join(str(e).split())}") from e


def _view(root: Path) -> str:
    """SQL that creates the view `mix_specs` over the parquet files."""

    def gathered(field: str) -> str:
        # Drums have a list of layers; an instrument has one clip, or is null.
        drums = [f"list_transform({d}.layers, lambda x: x.{field})" for d in DRUMS]
        loops = [f"[{i}.{field}]" for i in INSTRUMENTS]
        # Nulls of absent instruments do not reach list_distinct's result.
        return f"list_sort(list_distinct(flatten([{', '.join(drums + loops)}])))"

    # The names of the instruments whose struct is not null.
    playing = ", ".join(f"CASE WHEN {i} IS NOT NULL THEN '{i}' END" for i in INSTRUMENTS)
    files = str(root / FOLDER / "*" / "*.parquet").replace("'", "''")
    return (
        f"CREATE VIEW {FOLDER} AS SELECT *, "
        f"list_filter([{playing}], lambda x: x IS NOT NULL) AS instruments, "
        f"{gathered('clip')} AS clips, {gathered('kit')} AS kits, {gathered('licence')} AS licences "
        f"FROM read_parquet('{files}', union_by_name = true)"
    )
