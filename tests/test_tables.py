"""Tables in the form of their schema."""

import pandas as pd
import pytest

from recycling.tables import Column, Schema, TableError

IDS = Schema("ids", (Column("image_id", "int64", "the image's number"),))


@pytest.mark.parametrize("wrong", [1.5, float(2**63), float("inf")])
def test_a_number_that_is_not_whole_is_refused_with_its_row(wrong):
    with pytest.raises(TableError, match="a: row 1: image_id is no whole number") as error:
        IDS.conform(pd.DataFrame({"image_id": [1.0, wrong]}), where="a")
    assert repr(wrong) in str(error.value)
