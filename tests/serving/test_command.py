"""The command that serves: what it says of images, by the limits of the project and its own."""

from __future__ import annotations

import re
import subprocess
import sys

import httpx2
import pytest

from clone import copy_project
from inference.small_onnx import colour_classifier
from serving.test_service import image_file


@pytest.fixture
def served(tmp_path):
    """Gives the address of a service with these options, in a project that takes 500 pixels."""
    path = colour_classifier(tmp_path / "colours.onnx")
    project = copy_project(tmp_path / "recycling")
    parameters = project / "conf/base/parameters.yml"
    parameters.write_text(parameters.read_text().replace("max_pixels: 89478485", "max_pixels: 500"))
    processes = []

    def start(*options):
        command = [sys.executable, "-u", "-m", "kedro", "serve", "--with", str(path), "--port", "0"]
        process = subprocess.Popen(
            [*command, *options], cwd=project, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        found = (re.search(r"http://[\d.]+:\d+", line) for line in process.stdout)
        return next(match.group() for match in found if match)

    yield start
    for process in processes:
        process.terminate()
        process.wait(20)


def post(address, content):
    """The status, and what is said."""
    said = httpx2.post(f"{address}/predict", files={"file": ("a.png", content)}, timeout=60)
    return said.status_code, said.json()


def test_who_has_no_token_asks_from_this_machine_unless_all_may(served):
    elsewhere = {"host": "evil.example"}
    address = served()
    assert httpx2.get(f"{address}/models").status_code == 200
    assert httpx2.get(f"{address}/models", headers=elsewhere).status_code == 403
    assert httpx2.get(f"{served('--open')}/models", headers=elsewhere).status_code == 200


def test_the_command_takes_as_many_pixels_as_it_is_told_to(served):
    status, said = post(served(), image_file(size=(30, 20)))
    assert (status, said["reason"]) == (
        413,
        "30 x 20 is more than 500 pixels; send a smaller image",
    )
    more = served("--max-pixels", "1000")
    assert post(more, image_file(size=(30, 20)))[0] == 200
    status, said = post(more, image_file(size=(40, 30)))
    assert status == 413
