"""The Why page, asked as a user asks it: a tiny classifier of the sample says where it looked."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from backends.tiny_trainings import train
from recycling.annotations import ImageFolder, LabeledImages, read_tables
from viewer.clicks import choose
from viewer.drawn import project_with_sample

pytest.importorskip("mmpretrain")

IMAGE = "side=cls.resnet18&part=test&id=20001"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two checkpoints: a classifier, and one that says it is of detectron2."""
    project = project_with_sample(tmp_path_factory.mktemp("project"))
    data = project / "data"
    test = read_tables(data / "03_primary/test")
    few = test.of_images(test.images["image_id"].head(4))
    images = LabeledImages(few, ImageFolder(data / "01_raw/sample/images"))
    trained = train("mmpretrain", images, tmp_path_factory.mktemp("training"))
    shutil.copytree(trained.folder, data / "06_models/cls/resnet18/fold0/checkpoint")
    other = data / "06_models/det/fcos/fold0/checkpoint"
    shutil.copytree(trained.folder, other)
    facts = json.loads((other / "checkpoint.json").read_text())
    facts["model"] |= {"task": "det", "backend": "detectron2"}
    (other / "checkpoint.json").write_text(json.dumps(facts))
    return project


def test_a_model_is_asked_by_a_click_on_what_it_predicts(page):
    page.goto(f"/why?{IMAGE}")
    expect(page.locator(".sentence")).to_contain_text("click on a prediction")
    page.locator("[data-panel='cls.resnet18'] a").last.click()
    expect(page).to_have_url(re.compile("/why.*id=20001&box=[^&]+&category="))
    heat = page.locator("[data-panel='heat'] image")
    expect(heat).to_be_visible(timeout=120_000)  # torch and mmpretrain are imported
    expect(page.locator(".later .sentence")).to_contain_text(
        re.compile("looked at for .* Grad-CAM")
    )
    by_grad_cam = heat.get_attribute("href")
    choose(page, "method", "EigenCAM (of no class)")
    expect(page.locator(".later .sentence")).to_contain_text("EigenCAM")
    assert heat.get_attribute("href") != by_grad_cam


@pytest.mark.parametrize("control", ["images", "file name or id"])
def test_a_box_of_one_image_is_not_asked_of_another(page, control):
    page.goto(f"/why?{IMAGE}&box=1.0,2.0,30.0,40.0&category=1")
    expect(page.get_by_label("file name or id")).to_be_visible()
    if control == "images":
        choose(page, control, "out of fold")
    else:
        page.get_by_label(control).fill("0002")
        page.get_by_label(control).press("Enter")
    expect(page.locator(".sentence")).to_contain_text("click on a prediction")
    expect(page).not_to_have_url(re.compile("box="))


def test_a_prediction_leads_to_why_from_where_models_are_compared(page):
    page.goto("/predictions?sides=cls.resnet18,cls.resnetv1d18&part=test&id=20001")
    expect(page.locator("[data-panel='cls.resnetv1d18'] .shape").first).to_be_visible()
    expect(page.locator("[data-panel='cls.resnetv1d18'] a")).to_have_count(0)  # no checkpoint
    page.locator("[data-panel='cls.resnet18'] a").last.click()
    expect(page.locator("h1")).to_have_text("Why · test/0001.jpg")


def test_what_cannot_be_asked_says_so_before_a_click(page):
    page.goto("/why?side=det.fcos&part=test&id=20001")
    expect(page.get_by_role("alert")).to_contain_text("backend 'detectron2' is not installed")
