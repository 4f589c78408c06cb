"""Rows, panels and maps as the bytes of Parquet and safetensors files, and back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
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
    "seed": pa.int64(),
    "fraction": pa.float64(),
    "value": pa.float64(),
}
SCORE_TYPES = pa.schema([(name, NUMBERS.get(name, pa.string())) for name in SCORE_COLUMNS])
CURVE_TYPES = pa.schema([(name, NUMBERS.get(name, pa.string())) for name in CURVE_COLUMNS])
REPLACES = b"xai_bench.replaces"  # names of the unit files that a merged file stands for
Maps = Mapping[tuple[str, str], NDArray[np.float32]]


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


def parquet(content: pa.Table, replaces: Iterable[str] = ()) -> bytes:
    """A Parquet file whose pages have checksums, so that a flipped bit is found."""
    if names := list(replaces):
        content = content.replace_schema_metadata({REPLACES: json.dumps(names).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink, compression="zstd", write_page_checksum=True)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def replaced(place: Place, name: str) -> list[str]:
    """Names of the unit files that a merged file stands for."""
    metadata = pq.read_metadata(place.path(name), filesystem=place.filesystem).metadata or {}
    names: list[str] = json.loads(metadata.get(REPLACES, b"[]"))
    return names


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
    content: bytes = save(arrays, metadata={"panels": json.dumps(index)})
    return content


def panels(content: bytes) -> list[Panel]:
    """The panels in a file of the gallery. Raises SafetensorError, ValueError or KeyError where it is damaged."""
    index, arrays = json.loads(metadata(content)["panels"]), load(content)
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
    content: bytes = save(arrays, metadata={"maps": json.dumps(kept)})
    return content


def kept(header: Mapping[str, str]) -> Kept:
    """What the header of a maps file says."""
    found = json.loads(header["maps"])
    return Kept(found["data"], tuple(found["ids"]), tuple((model, name) for model, name in found["names"]))


def maps(content: bytes) -> list[NDArray[np.float32]]:
    """The maps of a file, (n, H, W) each, in the order of its names."""
    arrays = load(content)
    return [arrays[str(number)] for number in range(len(arrays))]


def metadata(content: bytes) -> dict[str, str]:
    """The text that a safetensors file carries: eight bytes of length, then JSON."""
    size = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return found


def header(place: Place, name: str) -> dict[str, str]:
    """The same of a file that is not read whole."""
    size = int.from_bytes(place.read(name, 0, 8), "little")
    found: dict[str, str] = json.loads(place.read(name, 8, 8 + size))["__metadata__"]
    return found
