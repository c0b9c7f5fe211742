"""What the service answers: what is on images, or a status and a reason."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from inference.small_onnx import colour_classifier, colour_segmenter
from recycling.inference.exported import onnx_predictor
from recycling.serving import ServiceLimits, ServingError, application
from recycling.serving.answers import png_names
from recycling.serving.core import Refused
from recycling.serving.uploads import read_upload
from serving.held import held_predictor


def image_file(colour=(250, 0, 0), size=(30, 20), form="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def zip_file(**files):
    return packed({name.replace("_", "."): content for name, content in files.items()})


def packed(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def predictors(tmp_path):
    paths = [colour_classifier(tmp_path / "c.onnx"), colour_segmenter(tmp_path / "s.onnx")]
    return [onnx_predictor(path) for path in paths]


@pytest.fixture
def client(predictors):
    with TestClient(application(predictors)) as client:
        yield client


def post(client, content, **query):
    return client.post("/predict", files={"file": ("a.png", content)}, params=query)


def test_an_image_is_answered_with_what_is_on_it(client):
    said = post(client, image_file()).json()
    (image,) = said["images"]
    assert (image["width"], image["height"]) == (30, 20)
    (found,) = image["objects"]
    assert (found["category"], found["box"]) == ("Red", [0, 0, 30, 20])
    assert 0.9 < found["score"] <= 1


def test_each_image_of_a_zip_file_is_answered_and_what_is_unreadable_is_named(client):
    content = zip_file(a_png=image_file(), b_png=b"no image", c_txt=b"text",
                       d_jpg=image_file((0, 0, 250), form="JPEG"))  # fmt: skip
    said = post(client, content).json()
    assert [image["file_name"] for image in said["images"]] == ["a.png", "d.jpg"]
    assert [image["objects"][0]["category"] for image in said["images"]] == ["Red", "Blue"]
    assert [each["file_name"] for each in said["unreadable"]] == ["b.png"]


def test_unreadable_files_of_one_name_are_all_named(client):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "Duplicate name"
        for name, own in (("a.png", image_file()), ("b.png", b"no image"), ("b.png", b"none")):
            archive.writestr(name, own)
    said = post(client, content.getvalue()).json()
    assert [each["file_name"] for each in said["unreadable"]] == ["b.png", "b.png"]


def test_photographs_in_a_zip_file_whose_endings_are_not_read_are_named(client):
    content = packed(
        {"a.png": image_file(), "b.HEIC": b"", "c.gif": image_file(form="GIF"), "._d.heic": b"",
         "__MACOSX/e.heic": b"", "notes.json": b"{}", "f/": b""}
    )  # fmt: skip
    said = post(client, content).json()
    assert [image["file_name"] for image in said["images"]] == ["a.png"]
    assert {each["file_name"]: each["reason"] for each in said["unreadable"]} == {
        "b.HEIC": "a file that ends in .heic; send a JPEG, PNG or WebP, or a zip file of them",
        "c.gif": "a file that ends in .gif; send a JPEG, PNG or WebP, or a zip file of them",
    }
    limits = ServiceLimits(max_images=2)
    with pytest.raises(Refused, match="3 images are more than 2"):
        read_upload(content, "a.zip", limits)


def test_images_that_are_drawn_have_the_names_of_their_files(client):
    files = {"may/a.png": image_file(), "may/a.jpg": image_file(form="JPEG"), "b.png": b"no image",
             "../../c.png": image_file((0, 0, 250))}  # fmt: skip
    said = post(client, packed(files), format="png")
    assert said.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(said.content)) as archive:
        assert archive.namelist() == ["may/a.png", "may/a.2.png", "c.png", "unreadable.json"]
        (unreadable,) = json.loads(archive.read("unreadable.json"))
        assert Image.open(archive.open("c.png")).width >= 30
    assert unreadable["file_name"] == "b.png"
    by_image = post(client, packed(files)).json()
    assert by_image["unreadable"] == [unreadable]
    assert post(client, packed(files), format="coco").json()["unreadable"] == [unreadable]


def test_a_zip_file_of_one_image_is_answered_with_a_zip_file(client):
    said = post(client, packed({"may/a.jpg": image_file(form="JPEG")}), format="png")
    assert said.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(said.content)) as archive:
        assert archive.namelist() == ["may/a.png"]


@example(["\\A:A:"])
@given(st.lists(st.text(st.sampled_from("aA.\\\\/:~ é"), max_size=9), max_size=8))
def test_names_in_an_archive_are_unique_and_lead_nowhere_else(names):
    found = png_names(names)
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        for path in (PurePosixPath(name), PureWindowsPath(name)):
            assert not path.anchor
            assert ".." not in path.parts
            assert path.suffix == ".png" or path.name == ".png"


def test_coco_has_the_masks_of_a_segmenter(client):
    said = post(client, image_file(), format="coco", model="seg.colours").json()
    (annotation,) = said["annotations"]
    assert annotation["category_id"] == 5
    assert annotation["bbox"] == [0, 0, 30, 20]
    assert annotation["segmentation"]["size"] == [20, 30]


@pytest.mark.parametrize("model", ["cls.colours", "seg.colours"])
def test_a_png_shows_what_was_found(client, model):
    said = post(client, image_file(), format="png", model=model)
    assert said.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(said.content)).width >= 30


def test_models_are_listed_and_asked_for_by_name_and_version(client):
    first, second = client.get("/models").json()
    assert (first["name"], second["task"]) == ("cls.colours", "seg")
    said = post(client, image_file(), model=second["name"], version=second["version"]).json()
    assert (said["model"], said["version"]) == (second["name"], second["version"])
    assert post(client, image_file(), model="cls.none").status_code == 404
    assert post(client, image_file(), model=second["name"], version="0").status_code == 404


def test_figures_count_requests_and_images(client):
    post(client, image_file())
    post(client, b"")
    version = client.get("/models").json()[0]["version"]
    text = client.get("/metrics").text
    assert 'recycling_requests_total{path="/predict",status="200"} 1.0' in text
    assert 'recycling_requests_total{path="/predict",status="415"} 1.0' in text
    assert f'recycling_images_total{{model="cls.colours",version="{version}"}} 1.0' in text


def test_of_two_versions_the_first_is_taken_and_each_is_counted(tmp_path):
    paths = [colour_classifier(tmp_path / f"{n}.onnx", unsure=n) for n in (1, 2)]
    with TestClient(application([onnx_predictor(path) for path in paths])) as client:
        first, second = (each["version"] for each in client.get("/models").json())
        for asked, taken in (
            ({}, first),
            ({"model": "cls.colours"}, first),
            ({"version": first}, first),
            ({"model": "cls.colours", "version": second}, second),
        ):
            assert post(client, image_file(), **asked).json()["version"] == taken
        text = client.get("/metrics").text
    for version, n in ((first, 3), (second, 1)):
        assert f'recycling_images_total{{model="cls.colours",version="{version}"}} {n}.0' in text


LIMITS = ServiceLimits(max_bytes=4000, max_pixels=1000, max_images=2)
BOMB = zip_file(a_png=b"\0" * 100_000)


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"x" * 5000, 413, "more than 4,000 bytes"),
        (image_file(size=(40, 30)), 413, "1,200 pixels are more than 1,000"),
        (zip_file(a_png=b"1", b_png=b"2", c_png=b"3"), 413, "3 images are more than 2"),
        (BOMB, 413, "unpacks to too many bytes"),
        (bytes(20_000), 413, "more than 4,000 bytes"),
        (b"%PDF-1.7", 415, "no image that can be read"),
        (b"", 415, "no image that can be read"),
        (image_file()[:-30], 415, "cannot be read as an image"),
        (zip_file(a_png=b"1"), 415, "without an image that can be read"),
        (zip_file(a_png=image_file())[:-30], 415, "damaged zip file"),
    ],
)
def test_what_is_not_taken_is_said_with_a_status_and_a_reason(predictors, content, status, reason):
    with TestClient(application(predictors, LIMITS)) as client:
        said = post(client, content)
    assert (said.status_code, said.headers["content-type"]) == (status, "application/json")
    assert reason in said.json()["reason"]


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [(0, 1, "an encrypted file"), (2, 99, "a file packed in a way that is not read")],
)
def test_what_cannot_be_unpacked_is_named_with_its_reason(client, offset, value, reason):
    content = bytearray(zip_file(a_png=image_file(), b_png=image_file()))
    # The flags, and then the method, of the last file: in its own header and in the list of all.
    for place in (content.rindex(b"PK\3\4") + 6, content.rindex(b"PK\1\2") + 8):
        content[place + offset] = value
    said = post(client, bytes(content)).json()
    assert [image["file_name"] for image in said["images"]] == ["a.png"]
    (unreadable,) = said["unreadable"]
    assert unreadable["file_name"] == "b.png"
    assert unreadable["reason"].startswith(f"{reason};")


def test_a_request_without_a_file_or_with_a_wrong_parameter_is_told_which(client):
    assert "file" in client.post("/predict").json()["reason"]
    said = post(client, image_file(), score_threshold=2)
    assert said.status_code == 422
    assert "score_threshold" in said.json()["reason"]
    assert client.get("/nothing").json() == {"reason": "Not Found"}


def test_more_requests_a_minute_than_allowed_are_told_to_wait(predictors):
    with TestClient(application(predictors, ServiceLimits(per_minute=2))) as client:
        said = [client.get("/models") for _ in range(3)]
        assert client.get("/health").status_code == 200
    assert [each.status_code for each in said] == [200, 200, 429]
    assert 0 < int(said[-1].headers["retry-after"]) <= 30


async def status_of(app, path, receive, headers=()):
    """The status that is answered on a path, given what else is received."""
    found = []

    async def send(message):
        found.append(message.get("status"))

    scope = {
        "type": "http", "method": "POST" if path == "/predict" else "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": list(headers),
        "client": ("1.2.3.4", 5), "server": ("a", 1), "scheme": "http", "http_version": "1.1",
        "root_path": "",
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 20)
    return found[0]


@pytest.mark.parametrize("path", ["/health", "/models", "/", "/metrics"])
def test_where_no_body_is_taken_none_is_received(predictors, path):
    async def never():
        raise AssertionError("it was asked for a body")

    app = application(predictors)
    large = [(b"content-length", str(10**12).encode())]
    assert asyncio.run(status_of(app, path, never, large)) == 200


def test_health_is_answered_however_many_requests_there_are_and_is_none_of_them(predictors):
    app = application(predictors, ServiceLimits(uploads=1))

    async def at_once():
        hanging = asyncio.Event()

        async def receive():
            await hanging.wait()
            return {"type": "http.disconnect"}

        health = [asyncio.create_task(status_of(app, "/health", receive)) for _ in range(3)]
        await asyncio.sleep(0)
        before = await status_of(app, "/models", receive)
        upload = asyncio.create_task(status_of(app, "/predict", receive))
        await asyncio.sleep(0)
        full = [await status_of(app, path, receive) for path in ("/models", "/health")]
        hanging.set()
        await asyncio.gather(*health, upload, return_exceptions=True)
        return before, full

    assert asyncio.run(at_once()) == (200, [503, 200])


def test_a_request_for_whose_pixels_there_is_no_room_is_turned_away(tmp_path):
    model, predictor = held_predictor(tmp_path)
    app = application([predictor], ServiceLimits(queue=1))
    content = image_file(size=(800, 800))
    with ThreadPoolExecutor(1) as threads, TestClient(app) as client:
        first = threads.submit(post, client, content)
        assert model.began.wait(20)
        said = post(client, content)
        assert (said.status_code, said.headers["retry-after"]) == (503, "1")
        assert said.json()["reason"].startswith("640,000 pixels wait already, of 1,000,000 at most")
        model.sign.set()
        assert first.result(20).status_code == 200
        assert post(client, content).status_code == 200


def test_a_request_for_whose_bytes_there_is_no_room_is_turned_away(tmp_path):
    model, predictor = held_predictor(tmp_path)
    app = application([predictor], ServiceLimits(queue=1, max_bytes=900_000))
    content = image_file() + bytes(600_000)
    with ThreadPoolExecutor(1) as threads, TestClient(app) as client:
        first = threads.submit(post, client, content)
        assert model.began.wait(20)
        said = post(client, content)
        assert (said.status_code, said.headers["retry-after"]) == (503, "1")
        assert "bytes wait already, of 1,000,000 at most" in said.json()["reason"]
        model.sign.set()
        assert first.result(20).status_code == 200
        assert post(client, content).status_code == 200


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.png": image_file(size=(1200, 900))}, "1,080,000 pixels are more than 1,000,000"),
        (dict.fromkeys(("a.png", "b.png"), image_file(size=(800, 800))), "too many pixels"),
    ],
)
def test_what_would_never_find_room_is_too_large(predictors, files, reason):
    content = packed(files) if len(files) > 1 else files["a.png"]
    with TestClient(application(predictors, ServiceLimits(queue=1))) as client:
        said = post(client, content)
    assert said.status_code == 413
    assert reason in said.json()["reason"]


def test_what_is_given_up_while_it_is_decoded_keeps_its_place_until_that_ends(
    predictors, monkeypatch
):
    end, began = threading.Event(), []

    def slow(*arguments):
        began.append(arguments)
        assert end.wait(20)
        return read_upload(*arguments)

    monkeypatch.setattr("recycling.serving.app.read_upload", slow)
    with (
        ThreadPoolExecutor(8) as threads,
        TestClient(application(predictors, ServiceLimits(seconds=1))) as client,
    ):
        for _ in range(2):
            asked = [threads.submit(post, client, image_file()) for _ in range(4)]
            assert {each.result(20).status_code for each in asked} == {503}
        assert len(began) == 4
        end.set()
        monkeypatch.setattr("recycling.serving.app.read_upload", read_upload)
        assert post(client, image_file()).status_code == 200


def test_what_takes_too_long_is_given_up(predictors):
    with TestClient(application(predictors, ServiceLimits(seconds=1e-6))) as client:
        said = post(client, image_file())
    assert said.status_code in (408, 503)
    assert "within" in said.json()["reason"]


def test_nobody_asks_without_the_token(predictors):
    with TestClient(application(predictors, token="t" * 16)) as client:
        assert client.get("/models").status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get("/models", headers={"Authorization": "Bearer " + "t" * 16}).is_success
        wrong = {"Authorization": "Bearer \xe9".encode("latin1")}
        assert client.get("/models", headers=wrong).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-dest": "empty"},
    ],
)
def test_where_this_machine_alone_may_ask_no_page_of_another_address_does(predictors, headers):
    own = "http://127.0.0.1:8766"
    with TestClient(application(predictors, here=True), base_url=own) as client:
        files = {"file": ("a.png", image_file())}
        said = client.post("/predict", files=files, headers=headers)
        assert said.status_code == 403
        assert said.json()["reason"].endswith("; --token or --open lets others ask")
        assert client.post("/predict", files=files, headers={"origin": own}).status_code == 200
        assert post(client, image_file()).status_code == 200


def test_the_same_model_twice_is_refused(predictors):
    with pytest.raises(ServingError, match="twice"):
        application([predictors[0], predictors[0]])


def test_the_page_on_the_api_asks_nobody_else_and_needs_no_token(predictors):
    with TestClient(application(predictors, token="t" * 16)) as client:
        page = client.get("/docs").text
        links = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(links) >= 3
        assert "http" not in "".join(links)
        assert all(client.get(link).is_success for link in [*links, "/openapi.json"])


def test_the_description_of_the_api_has_an_example_and_every_reason(client):
    answers = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    assert {"200", "401", "403", "404", "408", "413", "415", "422", "429", "503"} == set(answers)
    example = answers["200"]["content"]["application/json"]["example"]
    said = post(client, image_file()).json()
    assert set(example) == set(said)
    assert set(example["images"][0]["objects"][0]) == set(said["images"][0]["objects"][0])
