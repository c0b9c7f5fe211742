"""Pascal VOC, in and out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.sidecar_cases import TRIANGLE, coco, documents, draw, draw_one, vertices
from recycling.annotations import (
    BOX,
    AnnotationError,
    ImageFolder,
    from_coco,
    read_pascal_voc,
    write_pascal_voc,
)

# Letters, marks, numbers, punctuation, symbols and spaces: what XML can hold; composed (NFC), as
# the reader gives them.
NAMES = (
    st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]), min_size=1, max_size=8)
    .map(lambda name: normalize("NFC", name).strip())
    .filter(bool)
)

OBJECT = """<object><name>Glass</name><bndbox>
  <xmin>2</xmin><ymin>2</ymin><xmax>5</xmax><ymax>4</ymax>
</bndbox></object>"""


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """A folder of XML files and one of images, which holds a.png of 8 x 6 pixels."""
    (tmp_path / "xml").mkdir()
    draw_one(tmp_path / "images" / "a.png", (8, 6))
    return tmp_path / "xml", tmp_path / "images"


def document(*objects: str, head: str = "") -> str:
    return f"<annotation>{head}{''.join(objects)}</annotation>"


def refused(folders: tuple[Path, Path], **options) -> str:
    with pytest.raises(AnnotationError) as error:
        read_pascal_voc(*folders, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@settings(max_examples=20)
@given(documents(parts=3, names=NAMES, whole_pixels=True))
def test_boxes_of_whole_pixels_polygons_names_and_subfolders_come_back(document):
    raw = from_coco(document, where="test")
    names = raw.categories["name"].tolist()
    with TemporaryDirectory() as name:
        images = draw(Path(name) / "images", raw)
        write_pascal_voc(raw, Path(name) / "xml")
        back = read_pascal_voc(Path(name) / "xml", ImageFolder(images), categories=names)
    same = ["image_id", "file_name", "width", "height"]
    assert back.images[same].equals(raw.images[same])
    same = ["annotation_id", "image_id", *BOX, "iscrowd", "source", "score"]
    assert back.annotations[same].equals(raw.annotations[same])
    assert back.categories["name"].tolist() == names
    for old, new in zip(
        raw.annotations["segmentation"], back.annotations["segmentation"], strict=True
    ):
        for before, after in zip(vertices(old), vertices(new), strict=True):
            np.testing.assert_allclose(after, before, atol=1e-9)
    places = dict(zip(raw.categories["category_id"], names, strict=True))
    found = dict(zip(back.categories["category_id"], names, strict=True))
    assert (
        raw.annotations["category_id"].map(places).tolist()
        == back.annotations["category_id"].map(found).tolist()
    )


def test_pixels_count_from_one_and_the_last_is_inside_as_in_the_devkit(tmp_path):
    write_pascal_voc(coco({"bbox": [0, 1, 8, 3]}), tmp_path / "xml")
    root = ElementTree.parse(tmp_path / "xml" / "a.xml").getroot()
    corners = [root.findtext(f"object/bndbox/{c}") for c in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == ["1", "2", "8", "4"]
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == list("863")


def test_fractions_of_pixels_are_rounded_and_counted(tmp_path, caplog):
    raw = coco({"bbox": [1.2, 1, 3.5, 3]}, {"bbox": [4.4, 2.4, 0.2, 0.2]}, {})
    write_pascal_voc(raw, tmp_path / "xml")
    assert "2 boxes with fractions of pixels (rounded)" in caplog.text
    boxes = read_pascal_voc(tmp_path / "xml", draw(tmp_path / "images", raw)).annotations[BOX]
    assert boxes.to_numpy().tolist()[:2] == [[1, 1, 5, 4], [4, 2, 5, 3]]


def test_supervision_reads_what_was_written(tmp_path):
    import supervision as sv

    raw = coco({}, {"category_id": 2, "segmentation": [TRIANGLE]}, names=("a.png", "b.png"))
    write_pascal_voc(raw, tmp_path / "xml")
    draw(tmp_path / "images", raw)
    dataset = sv.DetectionDataset.from_pascal_voc(str(tmp_path / "images"), str(tmp_path / "xml"))
    found = dataset.annotations[str(tmp_path / "images" / "a.png")]
    assert found.xyxy.tolist() == [[1, 1, 5, 4], [1, 1, 5, 4]]
    assert [dataset.classes[i] for i in found.class_id] == ["Glass", "Paper"]
    assert found.mask is not None
    assert len(dataset.annotations[str(tmp_path / "images" / "b.png")]) == 0


def test_no_database_is_named_that_the_pictures_are_not_from(tmp_path):
    write_pascal_voc(coco({}, names=("b/a.png",)), tmp_path / "xml")
    root = ElementTree.parse(tmp_path / "xml" / "b" / "a.xml").getroot()
    assert root.find("source") is None
    assert [root.findtext("folder"), root.findtext("filename")] == ["b", "a.png"]


def test_categories_are_those_that_occur_sorted_or_those_given_in_their_order(folders):
    objects = [OBJECT.replace("Glass", name) for name in ("Paper", "Glass", "Paper")]
    (folders[0] / "a.xml").write_text(document(*objects))
    back = read_pascal_voc(*folders)
    assert back.categories[["category_id", "name"]].to_numpy().tolist() == [
        [1, "Glass"],
        [2, "Paper"],
    ]
    back = read_pascal_voc(*folders, categories=["Paper", "Metal", "Glass"])
    assert back.categories["name"].tolist() == ["Paper", "Metal", "Glass"]
    assert back.annotations["category_id"].tolist() == [1, 3, 1]
    line = refused(folders, categories=["Paper"])
    assert "category 'Glass' is not among those given" in line
    assert "a.png" in line
    assert "a name occurs twice" in refused(folders, categories=["Paper", "Glass", "Paper"])


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("<name>Glass</name>", "", "no <name>"),
        ("Glass", " ", "no <name>"),
        ("<xmin>2</xmin>", "", "<xmin> of <bndbox> is missing"),
        ("<ymax>4</ymax>", "<ymax>four</ymax>", "<ymax> of <bndbox> is missing or no number"),
        ("<ymax>4</ymax>", "<ymax>inf</ymax>", "<ymax> of <bndbox> is missing or no number"),
        ("<ymax>4</ymax>", "<ymax>nan</ymax>", "<ymax> of <bndbox> is missing or no number"),
        ("<ymax>4</ymax>", "<ymax>1e300</ymax>", "<ymax> of <bndbox> is missing or no number"),
        ("bndbox", "box", "<xmin> of <bndbox> is missing"),
        ("<xmin>2</xmin>", "<xmin>6</xmin>", "<xmin> is above <xmax>, swap"),
        ("<ymin>2</ymin>", "<ymin>6</ymin>", "<ymin> is above <ymax>, swap"),
        ("</object>", "<polygon><x1>1</x1><y1>1</y1></polygon></object>", "<polygon> is not"),
        ("</object>", f"<polygon>{'<x1>1</x1>' * 7}</polygon></object>", "<polygon> is not"),
        ("</object>", f"<polygon>{'<x1/>' * 6}</polygon></object>", "<polygon> is not"),
    ],
)
def test_a_malformed_object_is_named_with_file_number_and_fault(folders, old, new, what):
    (folders[0] / "a.xml").write_text(document(OBJECT, OBJECT.replace(old, new)))
    line = refused(folders)
    assert line.startswith(f"{folders[0]}: 1 fault: 1 x {what}")
    assert line.endswith("a.xml object 2")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "damaged or not XML"),
        (document(OBJECT)[:-9], "damaged or not XML"),
        ("<html/>", "the root is not <annotation>"),
        (
            '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>' + document(OBJECT),
            "damaged or not XML",
        ),
    ],
)
def test_a_file_that_is_no_pascal_voc_is_named(folders, text, what):
    (folders[0] / "a.xml").write_text(text)
    line = refused(folders)
    assert what in line
    assert "a.xml" in line


def test_a_file_that_cannot_be_opened_is_not_called_damaged(folders):
    (folders[0] / "a.xml").unlink(missing_ok=True)
    (folders[0] / "a.xml").symlink_to("gone")
    told = refused(folders)
    assert told.endswith(
        "1 x cannot be opened, see that it is there and may be read: a.xml (No such file or "
        "directory)"
    )


def test_all_faults_of_all_files_are_counted_by_kind(folders):
    for name in "abcde":
        draw_one(folders[1] / f"{name}.png", (8, 6))
        (folders[0] / f"{name}.xml").write_text(document(OBJECT.replace("Glass", "")))
    (folders[0] / "e.xml").write_text("<")
    line = refused(folders)
    assert (
        "5 faults: 4 x no <name>, add it: a.xml object 1, b.xml object 1, c.xml object 1, ..."
        in line
    )


def test_the_size_is_what_the_file_says_and_else_the_pictures(folders):
    size = "<size><width>{}</width><height>{}</height></size>"
    sizes = {"a": size.format(80, 60), "b": "", "c": size.format(0, 0), "d": size.format(8.5, 6)}
    for name, head in sizes.items():
        draw_one(folders[1] / f"{name}.png", (8, 6))
        (folders[0] / f"{name}.xml").write_text(document(OBJECT, head=head))
    back = read_pascal_voc(*folders).images
    assert back[["width", "height"]].to_numpy().tolist() == [[80, 60], [8, 6], [8, 6], [8, 6]]


def test_an_image_is_not_opened_where_the_file_says_its_size(tmp_path):
    write_pascal_voc(coco({}), tmp_path / "xml")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no picture")
    assert len(read_pascal_voc(tmp_path / "xml", tmp_path / "images").annotations) == 1


def test_polygons_of_one_object_stay_one_annotation(tmp_path):
    raw = coco({"segmentation": [TRIANGLE, [5, 3, 7, 3, 7, 5]]})
    write_pascal_voc(raw, tmp_path / "xml")
    back = read_pascal_voc(tmp_path / "xml", draw(tmp_path / "images", raw)).annotations
    assert json.loads(back["segmentation"].item()) == [TRIANGLE, [5, 3, 7, 3, 7, 5]]


def test_parts_of_fewer_than_three_corners_are_no_polygons(tmp_path):
    raw = coco({"segmentation": [[1, 1, 2, 2]]}, {"segmentation": [[1, 1, 2, 2], TRIANGLE]})
    write_pascal_voc(raw, tmp_path / "xml")
    back = read_pascal_voc(tmp_path / "xml", draw(tmp_path / "images", raw)).annotations
    assert back["segmentation"].isna().tolist() == [True, False]
    assert json.loads(back["segmentation"].iloc[1]) == [TRIANGLE]


def test_what_voc_says_of_an_object_is_kept_both_ways(folders, tmp_path, caplog):
    words = {"pose": "Left", "truncated": "1", "difficult": "0", "occluded": "1"}
    text = "".join(f"<{word}>{value}</{word}>" for word, value in words.items())
    (folders[0] / "a.xml").write_text(document(OBJECT.replace("</object>", f"{text}</object>")))
    raw = read_pascal_voc(*folders)
    assert json.loads(raw.annotations["extra"].item()) == words
    write_pascal_voc(raw, tmp_path / "again")
    back = read_pascal_voc(tmp_path / "again", folders[1])
    assert back.annotations["extra"].tolist() == raw.annotations["extra"].tolist()
    assert caplog.text == ""


def test_ids_and_unused_names_that_do_not_come_back_are_counted(tmp_path, caplog):
    write_pascal_voc(coco({"category_id": 3}, {"category_id": 1}), tmp_path / "xml")
    assert "1 names of unused categories, 1 category ids" in caplog.text


@pytest.mark.parametrize("name", ["bell\x07", "carriage\rreturn", " ", ""])
def test_a_name_that_xml_cannot_hold_is_not_written(tmp_path, name):
    raw = coco({})
    raw.categories["name"] = ["Glass", name, "Metal"]
    with pytest.raises(AnnotationError, match="a category name that XML cannot hold, rename it"):
        write_pascal_voc(raw, tmp_path / "xml")
    raw = coco({}, names=(f"{name or chr(7)}a\x07.png",))
    with pytest.raises(AnnotationError, match="a file_name that XML cannot hold, rename it"):
        write_pascal_voc(raw, tmp_path / "xml")
    assert not (tmp_path / "xml").exists()


def test_two_categories_of_one_name_are_not_merged_in_silence(tmp_path):
    raw = coco({})
    raw.categories["name"] = ["Glass", "Metal", "Glass"]
    with pytest.raises(AnnotationError, match="two categories of one name.*: Glass"):
        write_pascal_voc(raw, tmp_path / "xml")


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize(
    "encoding", ["cp949", "euc-kr", "gb2312", "gbk", "big5", "shift_jis", "latin-1", "utf-8"]
)
def test_files_in_any_encoding_that_python_knows_are_read(folders, encoding, quote):
    name = {"cp949": "캔", "euc-kr": "캔", "shift_jis": "缶", "latin-1": "é"}.get(encoding, "瓶")
    head = f"<?xml version={quote}1.0{quote} encoding={quote}{encoding}{quote}?>"
    text = head + document(OBJECT.replace("Glass", name))
    (folders[0] / "a.xml").write_bytes(text.encode(encoding))
    assert read_pascal_voc(*folders).categories["name"].tolist() == [name]


def test_files_in_utf_16_are_read_and_those_that_only_say_so_too(folders):
    text = '<?xml version="1.0" encoding="utf-16"?>' + document(OBJECT)
    for encoding in ("utf-16", "utf-8", "utf-8-sig"):
        (folders[0] / "a.xml").write_bytes(text.encode(encoding))
        assert len(read_pascal_voc(*folders).annotations) == 1


@pytest.mark.parametrize(
    ("encoding", "content", "fault"),
    [
        ("klingon", b"", "Python knows no such encoding.*a.xml.*klingon"),
        ("hex", b"", "Python knows no such encoding.*a.xml.*hex"),
        ("punycode", b"", "Python knows no such encoding of documents.*a.xml.*punycode"),
        ("Unicode_Escape", b"", "Python knows no such encoding of documents.*a.xml.*unicode"),
        ("cp949", b"\xff\xff", "damaged or not XML.*a.xml .*codec can't decode"),
    ],
)
def test_an_encoding_that_cannot_be_read_is_a_fault_with_the_file(
    folders, encoding, content, fault
):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    (folders[0] / "a.xml").write_bytes(head + content + document(OBJECT).encode())
    assert re.search(fault, refused(folders))


def test_the_text_of_tags_is_trimmed(folders):
    wide = OBJECT.replace(">Glass<", ">\n  Glass\u00a0 <").replace(">5<", ">\n 5 <")
    (folders[0] / "a.xml").write_text(document(wide, OBJECT), encoding="utf-8")
    found = read_pascal_voc(*folders)
    assert found.categories["name"].tolist() == ["Glass"]
    assert found.annotations[BOX].to_numpy().tolist() == [[1, 1, 5, 4]] * 2
    (folders[0] / "a.xml").write_text(document(wide), encoding="utf-8")
    assert len(read_pascal_voc(*folders, categories=["Glass"]).annotations) == 1


def test_tags_are_read_by_name_not_by_place(folders):
    shuffled = """<object><bndbox><ymax>4</ymax><xmax>5</xmax><ymin>2</ymin><xmin>3</xmin></bndbox>
      <polygon><y1>2</y1><x1>3</x1><y2>2</y2><x2>5</x2><x3>5</x3><y3>4</y3></polygon>
      <polygon><x10>3</x10><x2>5</x2><x1>5</x1><y1>2</y1><y2>4</y2><y10>6</y10></polygon>
      <name>Glass</name></object>"""
    (folders[0] / "a.xml").write_text(document(shuffled))
    found = read_pascal_voc(*folders).annotations
    assert found[BOX].to_numpy().tolist() == [[2, 1, 5, 4]]
    assert json.loads(found["segmentation"].iloc[0]) == [[2, 1, 4, 1, 4, 3], [4, 1, 4, 3, 2, 5]]


@pytest.mark.parametrize(
    "points",
    [
        "<x1>1</x1><y1>1</y1><x2>2</x2><y2>2</y2><x3>2</x3><y4>4</y4>",
        "<x1>1</x1><y1>1</y1><x1>2</x1><y1>2</y1><x3>2</x3><y3>4</y3>",
        "<a1>1</a1><y1>1</y1><x2>2</x2><y2>2</y2><x3>2</x3><y3>4</y3>",
    ],
)
def test_points_that_lack_a_side_are_a_fault(folders, points):
    broken = OBJECT.replace("</object>", f"<polygon>{points}</polygon></object>")
    (folders[0] / "a.xml").write_text(document(broken))
    assert "<polygon> is not" in refused(folders)
