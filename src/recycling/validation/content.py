"""A digest of annotations, so that the same ones are checked once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from recycling.annotations import Annotations
from recycling.validation.expectations import SCHEMAS


def content_digest(data: Annotations, shares: Mapping[str, float] | None) -> bytes:
    """A digest of all that the outcome of a check depends on.

    Of a column that may be missing, and is not one of a few values, the type alone is checked:
    polygons are not read.

    Args:
        data: Annotations whose tables have every column of their schemas.
        shares: The baseline that they are compared with; None for none.

    Returns:
        32 bytes, equal for what is equal.
    """
    digest = hashlib.sha256(repr(shares).encode())
    tables = (data.images, data.categories, data.annotations)
    for schema, table in zip(SCHEMAS, tables, strict=True):
        digest.update(repr([len(table), *table.dtypes.items()]).encode())
        for column in schema.columns:
            if not column.nullable or column.values is not None:
                hashes = pd.util.hash_pandas_object(table[column.name], index=False)
                digest.update(np.ascontiguousarray(hashes).tobytes())
    return digest.digest()
