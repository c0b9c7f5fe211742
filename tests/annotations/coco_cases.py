"""COCO documents to try things on: any that are in order, and some that may not be."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

KNOWN = {"id", "image_id", "category_id", "bbox", "file_name", "width", "height", "group", "area"}
KNOWN |= {"iscrowd", "source", "score", "segmentation", "name", "supercategory", "__absent__"}

_names = st.text(max_size=6).filter(lambda key: key not in KNOWN)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_floats = st.floats(-1e6, 1e6)
_decimals = st.decimals(-999, 999, places=2).map(float)
_numbers = _floats | _decimals | st.integers(-(2**40), 2**40)
# No polygon reaches further beyond an image than its shorter side.
_places = st.floats(-10, 20) | st.decimals(-10, 20, places=2).map(float) | st.integers(-10, 20)
_polygon = st.lists(st.tuples(_places, _places), min_size=3, max_size=4).map(
    lambda corners: [number for corner in corners for number in corner]
)
_rle = st.sampled_from(
    [
        {"size": [10, 20], "counts": [5, 10, 185]},
        {"counts": [0, 200], "size": [10, 20]},
        {"size": [10, 20], "counts": "5:i5"},
    ]
)


def _with_odd_keys(draw: st.DrawFn, entry: dict[str, Any]) -> dict[str, Any]:
    if not draw(st.integers(0, 3)):
        return {**draw(st.dictionaries(_names, any_json, max_size=3)), **entry}
    return entry


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents in order: polygons, RLE, boxes only, keys left out, keys of their own."""
    ids = draw(st.lists(st.integers(-5, 10**12), min_size=1, max_size=3, unique=True))
    names = st.sampled_from(["a.jpg", "b/c.jpg", "ä.jpg", "d\\e.jpg", "a..b.jpg"])
    groups = st.fixed_dictionaries({}, optional={"group": st.none() | st.integers() | st.text()})
    images = [
        {"id": number, "file_name": draw(names), "width": 20, "height": 10, **draw(groups)}
        for number in ids
    ]
    optional = st.fixed_dictionaries(
        {},
        optional={
            "area": st.none() | _numbers,
            "iscrowd": st.none() | st.sampled_from([0, 1, False, True]),
            "source": st.sampled_from(["human", "pseudo", "flickr", None, 3]),
            "score": st.floats(0, 1) | st.sampled_from([0, 1]),
            "segmentation": st.none() | _rle | st.lists(_polygon, max_size=2),
        },
    )
    usual = st.fixed_dictionaries(
        {"area": _decimals, "iscrowd": st.just(0)},
        optional={"segmentation": st.lists(_polygon, max_size=2)},
    )
    annotations = [
        {
            "id": number,
            "image_id": draw(st.sampled_from(images))["id"],
            "category_id": 7,
            "bbox": draw(st.lists(_numbers, min_size=4, max_size=4)),
            **draw(usual | optional),
        }
        for number in range(draw(st.integers(0, 4)))
    ]
    families = st.fixed_dictionaries({}, optional={"supercategory": st.none() | st.text()})
    category = {"id": 7, "name": draw(st.text(max_size=5)), **draw(families)}
    document = {
        "images": [_with_odd_keys(draw, one) for one in images],
        "annotations": [_with_odd_keys(draw, one) for one in annotations],
        "categories": [_with_odd_keys(draw, category)],
    }
    return {**draw(st.dictionaries(_names, any_json, max_size=2)), **document}


_ODD_VALUES = [None, True, 1.0, 0, -1, 1.5, 2**63, 2**64, 10**400, 1e16, 1e-7, float("inf")]
_ODD_VALUES += [float("nan"), "", "x", "1", "\ud800", "é", [], [[]], {}, [1, 2], [1, 2, 3, "4"]]
_ODD_VALUES += [[1, 2, 3, 4, 5], [[1, 2, 3]], [[1, 2, 3, True]], [[1, 2], [3, 10**400]], [[[1, 2]]]]
_ODD_VALUES += [{"size": [10, 20]}, {"size": [10, 20], "counts": "5 :i5"}, [[1, 1e5, 2, 1e-7]]]
_ODD_VALUES += [{"size": [10, 20], "counts": [2**64]}, {"size": [1, 2], "counts": "é", "more": 1}]
_ODD_VALUES += [[1e308, 0, 1e308, 1], "../a.jpg", "x/../y.jpg", "/a.jpg", "C:a.jpg", "pseudo"]


@st.composite
def odd_documents(draw: st.DrawFn) -> Any:
    """Documents in which one value, or one entry, may be anything."""
    document = json.loads(json.dumps(draw(documents())))
    section = draw(st.sampled_from(["images", "annotations", "categories"]))
    odd = draw(st.sampled_from(_ODD_VALUES) | any_json)
    entries = document[section]
    what = draw(st.sampled_from(["value", "value", "value", "entry", "section", "twice", "drop"]))
    if what == "section":
        document[section] = odd
    elif what == "entry":
        entries.append(odd)
    elif entries:
        entry = draw(st.sampled_from(entries))
        if what == "twice":
            entries.append(entry)
        elif what == "drop":
            del entry[draw(st.sampled_from(sorted(entry)))]
        else:
            entry[draw(st.sampled_from(sorted(KNOWN)))] = odd
    return document


@st.composite
def spellings(draw: st.DrawFn, document: Any) -> bytes:
    """The document as JSON: compact, spread out, with or without escapes, with a mark before it."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\n")]))
    text = json.dumps(
        document,
        indent=draw(st.none() | st.integers(0, 2)),
        separators=separators,
        ensure_ascii=draw(st.booleans()),
    )
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return mark + text.encode("utf-8", "surrogatepass")
