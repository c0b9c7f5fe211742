"""Every page in a real browser, clicked and typed into as a user would."""

from __future__ import annotations

import re
import shutil
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pandas as pd
import pytest
from playwright.sync_api import expect

from recycling.annotations import read_tables
from recycling.predictions import BoxFormat, to_submission
from viewer.clicks import choose
from viewer.conftest import SECONDS
from viewer.drawn import HOSTILE, project_with_sample


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project_with_sample(tmp_path_factory.mktemp("project"))


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_images_are_chosen_by_category_and_each_choice_has_a_link(page):
    page.goto("/?set=test.annotations")
    expect(page.locator("figure")).to_have_count(48)
    expect(page.locator(".pager").first).to_contain_text("80 images, page 1 of 2")
    choose(page, "category", "Battery")
    expect(page).to_have_url(re.compile("set=test.annotations&category=Battery"))
    expect(page.locator(".pager").first).not_to_contain_text("80 images")
    n_chosen = page.locator("figure").count()
    assert 0 < n_chosen < 48
    page.reload()
    expect(page.locator("figure")).to_have_count(n_chosen)
    page.go_back()
    expect(page.locator(".pager").first).to_contain_text("80 images")


def test_thumbnails_are_made_once(page, project):
    served = []
    page.on("response", lambda answer: "/images/" in answer.url and served.append(answer.url))

    def load(visit):
        served.clear()
        visit()
        for _ in range(4 * SECONDS):
            if len(served) >= 48:
                return
            page.wait_for_timeout(1000)
        pytest.fail(f"{len(served)} of 48 images of a page were served")

    kept = project / "data/02_intermediate/thumbnails"
    load(lambda: page.goto("/?set=test.annotations"))
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.jpg")}
    assert len(before) >= 48
    load(page.reload)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_annotations_are_shown_by_size_both_ways(page):
    page.goto("/?set=test.annotations&show=annotations")
    areas = {}
    for order in ("largest first", "smallest first"):
        choose(page, "order", order)
        expect(page).to_have_url(re.compile(f"order={order.split()[0]}"))
        lines = page.locator("figcaption span:last-child").all_text_contents()
        areas[order] = [int(line.split()[0].replace(",", "")) for line in lines]
    assert areas["largest first"] == sorted(areas["largest first"], reverse=True)
    assert areas["smallest first"] == sorted(areas["smallest first"])
    assert areas["smallest first"][0] < areas["largest first"][-1]


def test_annotations_are_gone_through_by_key_and_their_ids_copied(page):
    page.goto("/?set=test.annotations")
    page.locator("figure a").first.click()
    expect(page.locator("h1")).to_have_text("test/0001.jpg")
    page.keyboard.press("j")
    expect(page.locator(".shape.chosen")).to_have_count(1)
    number = page.locator(".shape.chosen").get_attribute("data-number")
    expect(page).to_have_url(re.compile(f"annotation={number}"))
    page.keyboard.press("c")
    expect(page.get_by_text(f"copied: {number}")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == number
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("test/0002.jpg")
    page.keyboard.press("u")
    expect(page.locator("h1")).to_have_text("Data")


def test_an_image_is_found_by_name_and_what_is_not_there_is_said(page):
    page.goto("/?set=test.annotations")
    page.get_by_label("file name or id").fill("0007")
    page.get_by_label("file name or id").press("Enter")
    expect(page.locator("figure")).to_have_count(1)
    page.get_by_label("file name or id").fill("<script>alert(1)</script>")
    page.get_by_label("file name or id").press("Enter")
    expect(page.locator(".page")).to_contain_text("nothing here")


def test_another_part_is_not_chosen_from_by_the_folds_of_the_training_images(page):
    page.goto("/?set=train.annotations&fold=0&category=Battery")
    choose(page, "images", "test.annotations")
    expect(page).to_have_url(re.compile(r"\?set=test.annotations&category=Battery$"))
    expect(page.get_by_label("category", exact=True)).to_be_visible()
    expect(page.get_by_label("fold", exact=True)).to_have_count(0)
    assert page.locator("figure").count() > 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("/?set=nope", "no images 'nope'; there are train.annotations"),
        ("/?set=test.annotations&category=Gold", "category=Gold: there are "),
        ("/?set=test.annotations&page=two", "page=two: not a whole number"),
        ("/?set=train.annotations&fold=99", "fold=99: there are "),
        ("/?set=test.annotations&fold=0", "fold=0: there are none"),
        ("/image?set=test.annotations&id=1", "test.annotations: no image 1"),
        ("/image?set=test.annotations&id=20001&annotation=5", "annotation=5: not on image 20001"),
        ("/image?set=pool.annotations&id=2", "linked.png: lies outside"),
    ],
)
def test_a_wrong_address_is_answered_in_one_line(page, asked, said):
    page.goto(asked)
    expect(page.get_by_role("alert")).to_contain_text(said)


def test_names_with_html_in_them_are_text(page):
    page.goto("/?set=pool.annotations")
    expect(page.locator("figcaption b").first).to_have_text("<b>bold<<b>.png")
    page.locator("figure a").first.click()
    expect(page.locator("ul.annotations li").first).to_contain_text(HOSTILE)
    page.goto("/?set=pool.annotations")
    page.get_by_label("category", exact=True).click()
    expect(page.get_by_role("option").first).to_have_text(HOSTILE)
    assert "harmed" not in page.title()


def test_no_file_outside_the_folder_is_served_and_a_broken_one_is_no_error(address):
    images = f"{address}/images/pool.annotations"
    assert status(f"{images}/1/320") == 200
    assert status(f"{images}/2/320") == 404
    assert status(f"{images}/3/320") == 404
    assert status(f"{images}/1/99999") == 404
    for path in ("..%2f..%2f..%2fsecret.png", "%2e%2e/%2e%2e/secret.png"):
        assert status(f"{address}/images/{path}/1/320") == 404
    assert status(f"{address}/static/..%2f__init__.py") == 404


def test_another_name_or_page_may_not_look(address):
    assert status(address) == 200
    assert status(address, Host="evil.example") == 403
    assert status(address, Origin="http://evil.example") == 403


def test_light_and_dark_are_kept(page):
    page.goto("/?set=test.annotations")
    expect(page.locator("body")).to_have_class(re.compile("body--light"))
    page.keyboard.press("d")
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    page.reload()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))


def test_what_cleaning_changed_is_shown_by_rule(page):
    page.goto("/cleaning")
    page.get_by_role("link", name="drop_degenerate_boxes").click()
    expect(page.locator("figure")).to_have_count(1)
    expect(page.locator("figcaption")).to_contain_text("the box is")
    choose(page, "rule", "clip_boxes")
    expect(page.locator("figure .shape.dashed")).to_have_count(1)
    expect(page.locator("figure .shape.solid")).to_have_count(1)


def test_the_rules_of_one_part_are_not_looked_for_in_another(page, project):
    raw, audit = "data/01_raw/sample/{}.json", "data/02_intermediate/{}/cleaning_audit.parquet"
    (project / audit.format("train")).parent.mkdir()
    shutil.copy(project / raw.format("test"), project / raw.format("train"))
    changes = pd.read_parquet(project / audit.format("test"))
    others = changes[changes["rule"] != "clip_boxes"]
    others.to_parquet(project / audit.format("train"))
    page.goto("/cleaning?part=test&rule=clip_boxes")
    choose(page, "part", "train")
    expect(page.locator(".pager").last).to_contain_text(f"{len(others)} changes")
    (project / audit.format("train")).unlink()
    (project / raw.format("train")).unlink()


def test_near_duplicates_stand_together_with_their_fold(page):
    page.goto("/groups?set=train.annotations")
    expect(page.locator("h2").first).to_contain_text(re.compile(r"group .*: \d+ images, fold \d"))
    assert page.locator(".tiles").first.locator("figure").count() > 1


def test_a_cell_of_the_folds_leads_to_its_annotations(page):
    page.goto("/folds")
    cell = page.locator("tbody tr", has_text="Glass").locator("td a").first
    count = int(cell.inner_text().split()[0])
    cell.click()
    expect(page.locator(".pager").first).to_contain_text(f"{count} annotations")


def test_pseudo_labels_are_shown_by_what_became_of_them(page):
    page.goto("/pseudo_labels")
    expect(page.locator("h1")).to_have_text("Pseudo-labels")
    for fate in ("kept", "ignored", "refused"):
        choose(page, "outcome", fate)
        expect(page.locator(".pager").last).to_contain_text(fate)
        assert page.locator("figure").count() > 0


def test_label_errors_are_accepted_and_rejected_by_key(page, project):
    accepted = project / "conf/base/baselines/train.corrections.yml"
    rejected = project / "conf/base/baselines/train.rejected_corrections.yml"
    page.goto("/label_errors")
    expect(page.locator("h2")).to_contain_text("open")
    expect(page.get_by_text("not shown: 1 of images that are gone")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator(".pager")).to_contain_text("2 of 3")
    page.keyboard.press("x")
    expect(page.locator(".pager")).to_contain_text("3 of 3")
    assert "new_category" in accepted.read_text()
    assert "new_box: [1.0, 2.0, 30.0, 40.0]" in rejected.read_text()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h2")).to_contain_text("rejected")
    page.keyboard.press("z")
    expect(page.locator("h2")).to_contain_text("open")
    assert "new_box" not in rejected.read_text()
    choose(page, "show", "accepted")
    expect(page.locator(".pager")).to_contain_text("1 of 1")


def test_candidates_of_another_kind_begin_with_the_first(page):
    page.goto("/label_errors?n=3")
    choose(page, "kind", "wrong class")
    expect(page.locator(".pager")).to_contain_text("1 of 1")
    expect(page).not_to_have_url(re.compile("n=3"))


def test_an_image_of_one_part_is_not_looked_for_in_another(page):
    page.goto("/predictions?sides=det.yolox&part=test&id=20002&layout=over")
    choose(page, "images", "out of fold")
    expect(page.locator("h1")).to_contain_text("Predictions · train/")
    expect(page).to_have_url(re.compile("sides=det.yolox&part=out_of_fold&layout=over$"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [("id=5", "id=5: not an image that"), ("find=nowhere", "no image is called so"),
     ("id=20002&find=nowhere", "no image is called so")],
)  # fmt: skip
def test_a_page_without_an_image_is_left_by_its_controls(page, asked, said):
    page.goto(f"/predictions?sides=det.yolox&part=test&{asked}")
    expect(page.get_by_role("alert")).to_contain_text(said)
    page.get_by_label("file name or id").fill("0007")
    page.get_by_label("file name or id").press("Enter")
    expect(page.locator("h1")).to_have_text("Predictions · test/0007.jpg")


def test_models_stand_side_by_side_and_over_one_another(page):
    page.goto("/predictions?sides=det.yolox,det.fcos&part=test&id=20002")
    expect(page.locator("[data-panel]")).to_have_count(3)
    choose(page, "layout", "over one another")
    expect(page.locator("[data-panel]")).to_have_count(1)
    assert page.locator(".shape.dashed").count() > 0
    assert page.locator(".shape.dotted").count() > 0
    page.get_by_text("truth", exact=True).first.click()
    expect(page).to_have_url(re.compile("truth=0"))
    expect(page.locator(".shape.truth")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("Predictions · test/0003.jpg")


def test_the_slider_hides_what_scores_less(page):
    page.goto("/predictions?sides=det.yolox&part=test&id=20002")
    shown = page.locator("[data-score]:not(.below)")
    assert shown.count() > 0
    page.goto("/predictions?sides=det.yolox&part=test&id=20002&score=0.9")
    page.locator(".q-slider [tabindex]").press("PageUp")
    expect(page).to_have_url(re.compile("score=1.00"))
    expect(shown).to_have_count(0)


def test_masks_and_classes_are_shown_as_well(page):
    page.goto("/predictions?sides=seg.fcn,cls.resnet18&part=test&id=20001")
    source = page.locator("image.map").first.get_attribute("href")
    assert source is not None
    assert source.startswith("data:image/png")
    expect(page.locator("[data-panel='cls.resnet18'] .label").first).to_contain_text("0.")


def test_a_cell_of_the_confusion_matrix_opens_its_images(page):
    page.goto("/mistakes?side=det.yolox&part=test")
    row = page.locator(".confusion tbody tr", has=page.get_by_role("rowheader", name="Battery"))
    cell = row.locator("td").last.locator("a")
    count = int(cell.inner_text())
    cell.click()
    expect(page).to_have_url(re.compile("true=Battery&said=nothing"))
    expect(page.locator(".sentence").first).to_contain_text("Battery taken for nothing")
    expect(page.locator(".pager").last).to_contain_text(f"{count} mistakes")
    page.locator("figure a").first.click()
    expect(page.locator("h1")).to_contain_text("Predictions · ")


def test_images_come_by_iou_and_crops_by_loss(page):
    page.goto("/mistakes?side=seg.fcn&part=test&order=iou")
    values = [float(text.split()[1]) for text in page.locator("figcaption b").all_text_contents()]
    assert values == sorted(values)
    page.goto("/mistakes?side=cls.resnet18&part=test")
    lines = page.locator("figcaption span:last-child").all_text_contents()
    losses = [float(text.split()[1]) for text in lines]
    assert losses == sorted(losses, reverse=True)


def test_a_classifier_is_not_asked_for_kinds_that_it_has_not(page):
    page.goto("/mistakes?side=det.yolox&part=test&kind=miss&size=small")
    expect(page.locator(".pager").last).to_contain_text("mistakes")
    choose(page, "model or ensemble", "cls.resnet18")
    expect(page).to_have_url(re.compile(r"side=cls.resnet18&part=test&size=small$"))
    expect(page.locator("figure").first).to_be_visible()


@pytest.mark.parametrize("side", ["cls.resnet18", "det.yolox", "seg.fcn"])
def test_mistakes_of_every_task_are_chosen_by_size(page, side):
    counts = []
    for size in ("", "&size=small", "&size=medium", "&size=large"):
        page.goto(f"/mistakes?side={side}&part=test{size}")
        line = page.locator(".pager", has_text="mistakes").inner_text()
        counts.append(int(re.search(r"([\d,]+) mistakes", line)[1].replace(",", "")))
    every, *of_sizes = counts
    assert sum(of_sizes) == every
    assert max(of_sizes) < every


def test_a_label_that_would_cover_another_is_seen_under_the_pointer(page):
    page.goto("/predictions?sides=det.yolox&part=test&id=20002&score=0")
    panel = page.locator("[data-panel='det.yolox']")
    expect(panel.locator("svg > .label").first).to_be_visible()
    covering = panel.locator(".shape", has=page.locator(".label")).last
    expect(covering.locator(".label")).to_be_hidden()
    covering.hover()
    expect(covering.locator(".label")).to_be_visible()


def test_two_files_are_compared_and_none_outside_the_data_is_read(page, project):
    test = read_tables(project / "data/03_primary/test")
    settings = BoxFormat.model_validate({"format": "aistages_detection"})
    for name in ("yolox", "fcos"):
        path = project / f"data/07_model_output/det/{name}/fold0/test.parquet"
        table = to_submission(settings, pd.read_parquet(path), test.images, test.categories)
        table.to_csv(project / f"data/{name}.csv", index=False)
    page.goto("/disagreement?first=data/yolox.csv&second=data/fcos.csv")
    expect(page.locator(".sentence").first).to_contain_text("data/fcos.csv differ in")
    assert page.locator("figure").count() > 0
    page.get_by_label("or a CSV file").fill("/etc/passwd.csv")
    page.get_by_label("or a CSV file").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("/etc/passwd.csv: lies outside")


def test_runs_curves_and_comparisons_are_a_page(page):
    page.goto("/experiments")
    expect(page.locator("table").first).to_contain_text("2026-01-02T03.04.05.006Z")
    expect(page.locator("canvas")).to_be_visible()
    choose(page, "list", "models of each run")
    expect(page.locator("table").first).to_contain_text("yolox")
    page.get_by_label("condition, such as").fill("model == ")
    page.get_by_label("condition, such as").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("--filter")
    choose(page, "list", "runs")
    expect(page.locator("table").first).to_contain_text("2026-01-02T03.04.05.006Z")
    page.goto("/experiments?compare=det.yolox,det.fcos")
    compared = page.locator(".later table")
    expect(compared).to_contain_text("det.fcos")


def test_a_study_is_shown_with_what_may_be_said_of_it(page):
    page.goto("/experiments")
    expect(page.locator("h2").last).to_have_text("Study: one_stage")
    expect(page.locator("ul.lines").last).to_contain_text("fcos: ")
    expect(page.locator("img.figure")).to_be_visible()
    effects = page.locator("details table")
    expect(effects).to_be_hidden()
    page.get_by_text("by class and size").click()
    expect(effects).to_contain_text("Battery")


def test_what_is_not_there_yet_is_said(page):
    page.goto("/why")
    expect(page.get_by_role("alert")).to_contain_text("no model is kept in data/06_models")
    page.goto("/predictions?sides=det.nobody")
    expect(page.get_by_role("alert")).to_contain_text("det.nobody")
    page.goto("/nowhere")
    expect(page.locator(".page")).to_contain_text("404")


def test_every_page_is_reached_by_its_key_and_the_keys_are_listed(page):
    page.goto("/folds")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("g m Mistakes")
    page.keyboard.press("Escape")
    for letter, title in (("m", "Mistakes of"), ("e", "Experiments"), ("i", "Data")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        expect(page.locator("h1")).to_contain_text(title)
