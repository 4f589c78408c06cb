"""What a study has measured, kept table by table, so that a second start goes on where the first one ended."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from xai_bench.seeding import digest
from xai_bench.whole import write_whole


def kept(folder: Path, name: str, settings: Mapping[str, Any], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table that `make` gives, made once for each `settings` and read from `folder` ever after.

    The file is called by `name` and a digest of the settings, which must hold everything that decides the numbers; it
    appears whole or not at all.
    """
    path = folder / f"{name}-{digest(name, sorted(settings.items()))}.parquet"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with BytesIO() as file:
            make().to_parquet(file, index=False)
            write_whole(path, file.getvalue())
    return pd.read_parquet(path)  # the first time too, so that a second start sees the same types
