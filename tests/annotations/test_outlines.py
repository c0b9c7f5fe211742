"""What cannot be drawn on its image is a fault of the file, before anything is drawn."""

import json

import pytest

from recycling.annotations import AnnotationError, from_coco, read_coco, read_pascal_voc


def _document(*segmentations, **keys):
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 160, "height": 120}],
        "annotations": [
            {"id": own, "image_id": 1, "category_id": 0, "bbox": [1, 1, 9, 9], **keys}
            | {"segmentation": one}
            for own, one in enumerate(segmentations, 5)
        ],
        "categories": [{"id": 0, "name": "Glass"}],
    }


@pytest.mark.parametrize("keys", [{}, {"area": 81}])
@pytest.mark.parametrize(
    ("polygon", "value"),
    [
        ([10, 10, 210000000.0, 350000000.0, 30, 40], "2.1e+08"),
        ([10, 10, -161, 20, 30, 40], "-161"),
        ([10, 10, 20, 240.5, 30, 40], "240.5"),
        ([10, 10, 20, 1e300, 30, 40], "1e+300"),
    ],
)
def test_a_polygon_far_beyond_its_image_is_a_fault_with_row_and_value(
    tmp_path, polygon, value, keys
):
    path = tmp_path / "a.json"
    good = [[1, 1, 9, 1, 9, 9]]
    path.write_text(json.dumps(_document(good, [[], *good, polygon], good, **keys)))
    with pytest.raises(AnnotationError) as caught:
        read_coco(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 1 fault: 1 x a polygon reaches further beyond its image")
    assert message.endswith(f"annotation id 6 has {value} on 160 x 120 pixels")


@pytest.mark.parametrize(
    "polygon", [[-160, -120, 320, 240, 0, 0], [0, 0, 320, 0, 320, 240], [1, 1, 2, 2]]
)
def test_a_polygon_as_far_beyond_as_its_image_is_wide_and_high_is_read(polygon):
    assert len(from_coco(_document([polygon]), where="test").annotations) == 1


@pytest.mark.parametrize(
    ("polygons", "said"),
    [
        ([[0, 0, 8999, 8999] * 60], "an outline of more than 1048576 pixels, .*id 6 has 1079880$"),
        (
            [[0, 0, 8999.5, -8999.5] * 30] * 2,
            "an outline of more than 1048576 pixels, .*id 6 has 1079940$",
        ),
        ([[1, 1, 9, 1, 9, 9]] * 4097, "more than 4096 polygons, give them as an RLE: .*has 4097$"),
    ],
)
def test_outlines_that_take_gigabytes_and_hours_to_draw_are_faults(polygons, said):
    document = _document([[0, 0, 8999, 8999] * 50], polygons, [[1, 1, 9, 1, 9, 9]] * 4096)
    document["images"][0] |= {"width": 9000, "height": 9000}
    with pytest.raises(AnnotationError, match=f"1 fault: 1 x {said}") as caught:
        from_coco(document, where="test")
    assert "\n" not in str(caught.value)


def test_counts_whose_sum_wraps_around_to_the_size_of_the_image_are_a_fault():
    rle = {"size": [120, 160], "counts": [*[2**62] * 4, 120 * 160]}
    with pytest.raises(AnnotationError, match="counts do not add up to the image"):
        from_coco(_document(rle), where="test")


def test_many_polygons_are_looked_at_row_by_row(monkeypatch):
    monkeypatch.setattr("recycling.annotations.outlines._AT_A_TIME", 2)
    good, bad = [[1, 1, 9, 1, 9, 9]], [[1, 1, 9, 1, 9, 999]]
    document = _document(good, None, bad, {"size": [120, 160], "counts": [19200]}, [], bad, area=1)
    with pytest.raises(AnnotationError, match=r"2 x a polygon.*id 7 has 999.*id 10 has 999"):
        from_coco(document, where="test")


def test_rles_of_another_size_are_told_with_file_count_and_rows(tmp_path):
    path = tmp_path / "a.json"
    swapped = {"size": [160, 120], "counts": [19200]}
    short = {"size": [120, 160], "counts": [5]}
    path.write_text(json.dumps(_document(*[swapped] * 5, short, area=1)))
    with pytest.raises(AnnotationError) as caught:
        read_coco(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 6 faults: 5 x an RLE of another size than its image")
    assert (
        "annotation id 5 has 120 x 160 on 160 x 120 pixels: height and width are swapped" in message
    )
    assert "1 x segmentation is an RLE whose counts do not add up to the image" in message


def test_pascal_voc_refuses_such_polygons_too(tmp_path):
    from annotations.sidecar_cases import draw_one

    draw_one(tmp_path / "img" / "a.png", (160, 120))
    (tmp_path / "xml").mkdir()
    points = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(
        [(2, 2), (300000000, 5), (9, 9)], 1))  # fmt: skip
    (tmp_path / "xml" / "a.xml").write_text(
        "<annotation><object><name>can</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax>"
        f"<ymax>9</ymax></bndbox><polygon>{points}</polygon></object></annotation>"
    )
    with pytest.raises(AnnotationError, match=r"a.png, annotation 1 has 3e\+08 on 160 x 120"):
        read_pascal_voc(tmp_path / "xml", tmp_path / "img")
