"""Rows, panels and maps as the bytes of Parquet and safetensors files, and back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load, save

from xai_bench.runs.files import Place
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Panel

NUMBERS = {
    "version": pa.int64(),
    "target": pa.int64(),
    "score": pa.float64(),
    "error": pa.float64(),
    "clean": pa.float64(),
    "seed": pa.int64(),
    "fraction": pa.float64(),
    "value": pa.float64(),
}
SCORE_TYPES = pa.schema([(name, NUMBERS.get(name, pa.string())) for name in SCORE_COLUMNS])
CURVE_TYPES = pa.schema([(name, NUMBERS.get(name, pa.string())) for name in CURVE_COLUMNS])
MARK = b"xai_bench"  # key of what a scores file says of its unit
HASH = b"xai_bench.hash"
Maps = Mapping[tuple[str, str], NDArray[np.float32]]


class Mark(NamedTuple):
    """What a scores file says of its unit."""

    rooms: tuple[str, ...] = ()  # where else the unit has a file of the same name
    replaces: tuple[str, ...] = ()  # unit files that a merged file stands for; they are not read any more
    holds: tuple[str, ...] = ()  # units whose maps and gallery it vouches for


class Kept(NamedTuple):
    """What a maps file holds: of which data and samples, and which models and explainers, in order."""

    data: str
    ids: tuple[str, ...]
    names: tuple[tuple[str, str], ...]


def table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows in the order of the schema's columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def parquet(content: pa.Table, mark: Mark | None = None) -> bytes:
    """A Parquet file whose pages have checksums, with a hash over what it says: footers have no checksum."""
    said = {MARK: json.dumps((mark or Mark())._asdict()).encode(), HASH: table_hash(content).encode()}
    sink = pa.BufferOutputStream()
    pq.write_table(content.replace_schema_metadata(said), sink, compression="zstd", write_page_checksum=True)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def table_hash(content: pa.Table) -> str:
    """A hash of names and values, whatever their encoding."""
    sha = hashlib.sha256(",".join(content.column_names).encode())
    sha.update(pd.util.hash_pandas_object(content.to_pandas(), index=False).to_numpy().tobytes())
    return sha.hexdigest()


def mark(place: Place, name: str) -> Mark:
    """What a scores file says of its unit. Raises ArrowException, OSError or ValueError where it is damaged."""
    metadata = pq.read_metadata(place.path(name), filesystem=place.filesystem).metadata or {}
    said = json.loads(metadata.get(MARK, b"{}"))
    return Mark(**{key: tuple(names) for key, names in said.items() if key in Mark._fields})


def packed_panels(panels: Sequence[Panel]) -> bytes:
    """Images, regions and maps of the gallery."""
    arrays: dict[str, NDArray[Any]] = {}
    index = []
    for number, panel in enumerate(panels):
        arrays[f"{number}/image"] = panel.image
        if panel.region is not None:
            arrays[f"{number}/region"] = panel.region
        for place, pixels in enumerate(panel.maps.values()):
            arrays[f"{number}/map/{place}"] = pixels
        index.append({"data": panel.data, "sample": panel.sample, "maps": list(panel.maps)})
    return _sealed(arrays, json.dumps(index))


def panels(content: bytes) -> list[Panel]:
    """The panels in a file of the gallery. Raises SafetensorError, ValueError or KeyError where it is damaged."""
    index, arrays = _opened(content)
    return [
        Panel(
            data=entry["data"],
            sample=entry["sample"],
            image=arrays[f"{number}/image"],
            region=arrays.get(f"{number}/region"),
            maps={
                (model, explainer): arrays[f"{number}/map/{place}"]
                for place, (model, explainer) in enumerate(entry["maps"])
            },
        )
        for number, entry in enumerate(index)
    ]


def packed_maps(data: str, ids: Sequence[str], maps: Maps) -> bytes:
    """All maps of a unit, float32, exact."""
    arrays = {str(number): np.ascontiguousarray(values, np.float32) for number, values in enumerate(maps.values())}
    kept = {"data": data, "ids": list(ids), "names": list(maps)}
    return _sealed(arrays, json.dumps(kept))


def kept(place: Place, name: str) -> Kept:
    """What the head of a maps file says; the maps are not read. Raises OSError, ValueError or KeyError."""
    size = int.from_bytes(place.read(name, 0, 8), "little")
    return _kept(json.loads(json.loads(place.read(name, 8, 8 + size))["__metadata__"]["index"]))


def _kept(found: Mapping[str, Any]) -> Kept:
    return Kept(found["data"], tuple(found["ids"]), tuple((model, name) for model, name in found["names"]))


def maps(content: bytes) -> tuple[Kept, list[NDArray[np.float32]]]:
    """What a file holds, and its maps, (n, H, W) each, in the order of the names."""
    index, arrays = _opened(content)
    return _kept(index), [arrays[str(number)] for number in range(len(arrays))]


def _sealed(arrays: Mapping[str, NDArray[Any]], index: str) -> bytes:
    """A safetensors file with a hash over all of it, which the format has not."""
    content: bytes = save(dict(arrays), metadata={"index": index, "sha256": _hash(arrays, index)})
    return content


def _opened(content: bytes) -> tuple[Any, dict[str, NDArray[Any]]]:
    size, arrays = int.from_bytes(content[:8], "little"), load(content)
    said = json.loads(content[8 : 8 + size])["__metadata__"]
    if _hash(arrays, said["index"]) != said["sha256"]:
        raise ValueError("its bytes are not the ones that were written")
    return json.loads(said["index"]), arrays


def _hash(arrays: Mapping[str, NDArray[Any]], index: str) -> str:
    sha = hashlib.sha256(index.encode())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        sha.update(f"{name}{values.shape}{values.dtype}".encode())
        sha.update(values.data)
    return sha.hexdigest()
