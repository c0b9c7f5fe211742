"""The whole chain on a small sample: what a stranger sees after one command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from annotations.cleaning.replay import undo
from clone import (
    ROOT,
    copy_project,
    kedro,
    models_of,
    project_with_images,
    set_models,
    set_parameters,
)
from recycling.annotations import Cleaning, read_tables, to_coco
from recycling.experiments import Runs
from tracking.wandb_log import logged

SMALL = {"epochs": 1, "batch_size": 4}
IN_ONE_EPOCH: dict[str, dict[str, Any]] = {
    "cls": {},
    "det": {"score_threshold": 0.0},
    # At its own rate one epoch leads to background alone.
    "seg": {"optimizer": {"name": "AdamW", "learning_rate": 0.00003}},
}
FEW = ("cls", "det", "seg")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a small sample and models of one epoch, one of each kind a task."""
    project = project_with_images(tmp_path_factory.mktemp("project") / "recycling")
    models: dict[str, dict[str, object]] = {}
    for task in FEW:
        of_task = {
            name: {**model, **SMALL, **IN_ONE_EPOCH[task]}
            for name, model in models_of(project).items()
            if model["task"] == task and model["backend"] != "detectron2"
        }
        again = next(n for n, m in of_task.items() if m.get("train_on") == "labeled+pseudo")
        first = of_task[again]["pretrained"].removeprefix("model:")
        models |= {first: of_task[first], again: of_task[again]}
    set_models(project, models)
    # Of one epoch nothing can be promised.
    rounds = {"pseudo": {"promise": None, "score": 0.0, "mask_area": 1, "truth": "pool.truth"}}
    set_parameters(project, {"pseudo_labeling": rounds})
    return project


@pytest.fixture(scope="module")
def finished(project: Path) -> tuple[Path, str]:
    """The project after the whole chain, and what it printed."""
    result = kedro(project, "run", WANDB_MODE="offline")
    assert result.returncode == 0, result.stdout + result.stderr
    return project, result.stdout


def test_the_summary_holds_every_member_and_ensemble(finished):
    project, _ = finished
    summary = json.loads((project / "data/08_reporting/summary.json").read_text())
    metrics = {task: summary[task]["metric"] for task in FEW}
    assert metrics == {"cls": "macro F1", "det": "mAP50", "seg": "mIoU"}
    for task in FEW:
        assert len(summary[task]["members"]) == 2
        assert 0 <= summary[task]["ensemble"] <= 1


def test_the_run_ends_with_the_scores_and_the_path_of_the_report(finished):
    project, printed = finished
    for metric in ("macro F1", "mAP50", "mIoU"):
        assert metric in printed
    assert printed.rstrip().splitlines()[-1] == "Report: data/08_reporting/report.html"
    pages = re.findall(r"data/08_reporting/\S+\.html", printed)
    assert {f"data/08_reporting/{task}/report_final.html" for task in FEW} <= set(pages)
    assert all((project / path).stat().st_size > 1000 for path in pages)


def test_the_report_holds_every_step_and_loads_nothing(finished):
    project, _ = finished
    path = project / "data/08_reporting/report.html"
    page = re.sub(r"base64,[^\"]+", "", path.read_text())
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    steps = [
        f"{kind} of {task}"
        for task in ("classification", "detection", "segmentation")
        for kind in ("Models", "Ensembles")
    ]
    assert headings == [
        "What was run, and what came out", "In short", "Data", "Folds", *steps, "What it took",
    ]  # fmt: skip
    assert "http" not in page
    assert path.stat().st_size < 12e6
    assert "pseudo-labels, yolox_pseudo: " in page  # beside its twin
    assert not list((project / "data/08_reporting").glob("*.png"))


def test_every_planted_defect_leaves_an_audit_row(finished):
    project, _ = finished
    defects = json.loads((project / "data/01_raw/sample/defects.json").read_text())
    audit = pd.read_parquet(project / "data/02_intermediate/train/cleaning_audit.parquet")
    rule_of = {
        "truncated_image": "drop_bad_images",
        "duplicate_image": "drop_duplicate_images",
        "degenerate_box": "drop_degenerate_boxes",
        "box_outside": "clip_boxes",
        "wrong_label": "relabel",
        "misspelt_category": "fix_categories",
    }
    assert {defect["kind"] for defect in defects} == set(rule_of)
    for defect in defects:
        subject = next(s for s in ("annotation", "category", "image") if f"{s}_id" in defect)
        rows = audit[audit["rule"] == rule_of[defect["kind"]]]
        found = (rows["subject"] == subject) & (rows["subject_id"] == defect[f"{subject}_id"])
        assert found.any(), defect


def test_the_raw_file_comes_back_from_the_clean_tables_and_the_audit(finished):
    project, _ = finished
    raw = project / "data/01_raw/sample/train.json"
    clean = read_tables(project / "data/03_primary/train")
    audit = pd.read_parquet(project / "data/02_intermediate/train/cleaning_audit.parquet")
    assert to_coco(undo(clean, audit)) == json.loads(raw.read_text())


def test_the_report_of_cleaning_names_every_rule_also_those_that_are_off(finished):
    project, _ = finished
    report = pd.read_parquet(project / "data/08_reporting/cleaning_train.parquet")
    assert set(report["rule"]) == set(Cleaning().order)
    off = report[~report["enabled"]]
    assert set(off["rule"]) == {"relabel_inside", "remove_overlaps", "drop_area_range"}
    assert report.loc[report["rule"] == "relabel", "rows"].tolist() == [3]


def test_the_folds_are_measured_on_every_axis_and_test_is_compared_with_train(finished):
    project, _ = finished
    parameters = yaml.safe_load((project / "conf/base/parameters_splitting.yml").read_text())
    deviation = pd.read_parquet(project / "data/08_reporting/fold_deviation.parquet")
    assert deviation["axis"].tolist() == parameters["splitting"]["axes"]
    shift = json.loads((project / "data/08_reporting/shift.json").read_text())
    assert "12" in shift["verdict"]  # too few images to compare, and that is said
    assert shift["exact_duplicates"] == 0


def test_the_second_round_learns_from_the_pseudo_labels(finished):
    project, _ = finished
    for task in FEW:
        table = pd.read_parquet(
            project / f"data/05_model_input/{task}/pseudo/fold0/pool/annotations.parquet"
        )
        assert len(table) > 0
        assert set(table["source"]) == {"pseudo"}
        reports = project / f"data/08_reporting/{task}"
        certificate = pd.read_parquet(reports / "pseudo_fold0_pool_certificate.parquet")
        assert certificate["kept"].sum() == (~table["iscrowd"]).sum()
        if task != "cls":  # boxes that show no object have no class that could be right
            assert certificate["attained"].notna().any()  # the sample's truth is known
        page = (reports / "pseudo_fold0_pool_certificate.html").read_text()
        assert "the threshold is set, and nothing is promised" in page


def test_the_run_says_what_pseudo_labels_do_beside_a_twin(finished):
    project, printed = finished
    path = project / "data/08_reporting/det/pseudo_effect_yolox_pseudo.json"
    effect = json.loads(path.read_text())
    assert effect["sentence"].startswith("pseudo-labels, yolox_pseudo: ")
    assert effect["seeds"] == 1
    assert "no verdict" in effect["sentence"]
    _, _, after_the_scores = printed.partition("mIoU")
    assert effect["sentence"] in after_the_scores
    steps = [
        json.loads(
            (project / f"data/06_models/det/{name}/fold0/checkpoint/checkpoint.json").read_text()
        )
        for name in ("yolox_pseudo", "yolox_pseudo_control")
    ]
    assert steps[0]["iterations"] == steps[1]["iterations"]


def test_the_run_is_listed_with_its_models_and_the_best_checkpoint_is_found(finished):
    project, _ = finished
    models = kedro(project, "experiments", "--models", "--format", "json")
    assert models.returncode == 0, models.stderr
    rows = {f"{row['task']}.{row['model']}": row for row in json.loads(models.stdout)}
    summary = json.loads((project / "data/08_reporting/summary.json").read_text())
    for task in FEW:
        assert rows[f"{task}.final"]["test"] == summary[task]["ensemble"]
    trained = [row for row in rows.values() if row["checkpoint"] and row["task"] == "det"]
    assert all(row["minutes"] > 0 and row["steps"] > 0 for row in trained)
    best = kedro(project, "experiments", "--best", "det", "mAP50")
    folder = project / best.stdout.strip().splitlines()[-1]
    assert (folder / "weights.pth").is_file()


def test_every_training_and_the_run_are_kept_by_the_tracker_of_the_parameters(finished):
    project, _ = finished
    runs = Runs(project / "data/08_reporting/runs")
    (manifest,) = runs.all().values()
    found = logged(project / "data/08_reporting/wandb")
    spaces = {name.removesuffix(".checkpoint") for name in manifest.trainings}
    assert len(spaces) > 5
    assert set(found) == {manifest.run_id, *(f"{space}-{manifest.run_id}" for space in spaces)}
    for space in spaces:
        task, own = space.split(".")[0], found[f"{space}-{manifest.run_id}"]
        facts = manifest.trainings[f"{space}.checkpoint"]
        assert task in own.run.tags
        assert own.run.run_group == manifest.run_id
        assert own.config["parameters"]["recipe"] == facts["model"]["recipe"]
        assert f"{space}.checkpoint" in own.config["fingerprints"]
        assert own.curve[-1]["training/loss"] > 0
        scores = manifest.scores[f"{space}.out_of_fold_metrics"]
        assert own.summary[f"out_of_fold/{scores['metric']}"] == scores["score"]
        interval = [own.summary["out_of_fold/low"], own.summary["out_of_fold/high"]]
        assert interval == list(scores["interval"])
        assert own.summary["predictions.nrows"] == 8
        assert {"train.annotations", "folds"} <= set(own.takes)
        assert {f"{space}.checkpoint", f"{space}.test_predictions"} <= set(own.gives)
    run = found[manifest.run_id]
    assert {"det.final.report", "det.final.submission"} <= {*run.summary_names(), *run.gives}
    # Of the same content it is one version: the run fuses what the trainings gave.
    for name in run.takes.keys() & {f"{space}.test_predictions" for space in spaces}:
        own = found[f"{name.removesuffix('.test_predictions')}-{manifest.run_id}"]
        assert run.takes[name].digest == own.gives[name].digest
    assert run.summary["det.final/test/low"] <= run.summary["det.final/test/mAP50"]


def test_a_model_is_scored_by_itself_on_images_that_it_has_not_seen(finished):
    project, _ = finished
    result = kedro(project, "score", "det.yolox", "seg.fcn.fold0")
    assert result.returncode == 0, result.stdout + result.stderr
    for name, title in {"det/yolox": "mAP50", "seg/fcn": "mIoU"}.items():
        path = project / f"data/07_model_output/{name}/fold0/out_of_fold_metrics.json"
        said = json.loads(path.read_text())
        assert f"{title} on " in result.stdout
        row = ["all", *(f"{number:.4g}" for number in (said["score"], *said["interval"]))]
        assert row in [line.split() for line in result.stdout.splitlines()]
    result = kedro(project, "score", "latest")
    assert result.returncode == 1
    assert "latest is a whole run; name its model: latest:det.yolox" in result.stderr


@pytest.mark.parametrize("task", FEW)
def test_a_model_and_its_student_are_compared_and_what_differs_is_said(finished, task):
    project, _ = finished
    models = yaml.safe_load((project / "conf/base/models.yml").read_text())["models"]
    student = next(
        name
        for name, model in models.items()
        if model["task"] == task and model.get("train_on") == "labeled+pseudo"
    )
    first = models[student]["pretrained"].removeprefix("model:")
    result = kedro(project, "compare", f"{task}.{first}", f"latest:{task}.{student}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "model.train_on: labeled -> labeled+pseudo (conf/base/models.yml:" in result.stdout
    assert "things differ" in result.stdout
    assert "1 seed: of these images only, which is no verdict" in result.stdout
    assert f"kedro noise {task}.{first} --seeds 5" in result.stdout
    folder = project / f"data/08_reporting/comparisons/{task}_{first}-vs-latest_{task}_{student}"
    assert {path.name for path in folder.iterdir()} == {
        "scores.parquet", "disagreement.parquet", "pictures.png", "confusion.png",
    }  # fmt: skip


def test_two_submissions_are_compared_whoever_made_them(finished, tmp_path):
    project, _ = finished
    own = project / "data/07_model_output/cls/final/submission.csv"
    other = tmp_path / "theirs.csv"
    other.write_text(own.read_text())
    result = kedro(project, "compare", str(own), str(other))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "how a file was made is not known" in result.stdout
    assert "differ in 0 of" in result.stdout
    assert "the same" in result.stdout


def test_groups_never_cross_folds(finished):
    project, _ = finished
    folds = pd.read_parquet(project / "data/05_model_input/folds.parquet")
    images = pd.read_parquet(project / "data/03_primary/train/images.parquet")
    joined = images.merge(folds, on="image_id", validate="one_to_one")
    assert len(joined) == len(images)
    assert (joined.groupby("group")["fold"].nunique() == 1).all()


def test_the_submissions_have_a_row_for_each_test_image(finished):
    project, _ = finished
    images = pd.read_parquet(project / "data/03_primary/test/images.parquet")
    for task in ("det", "seg"):
        rows = pd.read_csv(project / f"data/07_model_output/{task}/final/submission.csv")
        assert sorted(rows["image_id"]) == sorted(images["file_name"])


def test_data_docs_are_written(finished):
    project, _ = finished
    pages = list((project / "data/08_reporting/data_docs").rglob("index.html"))
    assert len(pages) >= 2


def test_what_is_there_is_not_made_again(finished):
    project, _ = finished
    result = kedro(project, "run", "--only-missing-outputs")
    assert result.returncode == 0, result.stdout + result.stderr
    assert ".train" not in result.stdout


def test_an_ensemble_alone_repeats_to_the_byte(finished):
    project, _ = finished
    path = project / "data/07_model_output/det/final/test.parquet"
    before = path.read_bytes()
    result = kedro(project, "run", "--pipeline", "ensembling", "--namespaces", "det.final")
    assert result.returncode == 0, result.stdout + result.stderr
    assert path.read_bytes() == before


def test_a_test_image_is_predicted_as_in_the_run(finished):
    project, _ = finished
    names = [f"{task}.{ensemble}" for task in FEW for ensemble in ("final", "teacher", "searched")]
    names += ["det.yolox", "seg.fcn.fold0", "cls.resnet18"]
    script = Path(__file__).parent / "inference/as_in_the_run.py"
    ran = subprocess.run(
        [sys.executable, str(script), *names],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {name: own["same"] for name, own in found.items()} == dict.fromkeys(names, True)
    assert all(own["rows"] for own in found.values())


def test_images_are_predicted_once_and_what_cannot_be_read_is_listed(finished, tmp_path):
    project, _ = finished
    photos, to = tmp_path / "photos", tmp_path / "predicted"
    shutil.copytree(project / "data/01_raw/sample/images/test", photos)
    (photos / "broken.jpg").write_bytes(b"no image")
    arguments = ("predict", str(photos), "--with", "det.final", "--score-threshold", "0")
    first = kedro(project, *arguments, "--to", str(to), "--formats", "parquet,summary")
    assert first.returncode == 0, first.stderr
    assert "13 images, 0 are predicted already" in first.stdout
    assert "broken.jpg: cannot be read as an image: not an image of a known format" in first.stderr
    assert pd.read_csv(to / "unreadable.csv")["file_name"].tolist() == ["broken.jpg"]
    known = pd.read_parquet(project / "data/07_model_output/det/final/test.parquet")
    assert len(pd.read_parquet(to / "objects.parquet")) == len(known)
    (photos / "broken.jpg").unlink()
    again = kedro(project, *arguments, "--to", str(to), "--formats", "coco,images")
    assert "12 images, 12 are predicted already" in again.stdout
    assert len(list((to / "images").glob("*.jpg"))) == 12
    assert len(json.loads((to / "coco.json").read_text())["annotations"]) == len(known)
    assert not (to / "unreadable.csv").exists()


def test_nothing_that_can_be_read_is_a_failure(finished, tmp_path):
    project, _ = finished
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    arguments = ("predict", str(tmp_path), "--with", "det.yolox", "--to", str(tmp_path / "to"))
    result = kedro(project, *arguments)
    assert result.returncode == 1
    assert "cannot be read or predicted: 1 of the images" in result.stderr


def test_a_classifier_looks_at_what_a_detector_finds_in_tiles(finished, tmp_path):
    project, _ = finished
    images = "data/01_raw/sample/images/test/000[1-4].jpg"
    result = kedro(
        project, "predict", images, "--with", "cls.final", "--crops-of", "det.final",
        "--crops-from", "0", "--tiles", "96", "--to", str(tmp_path), "--formats", "csv",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(tmp_path / "objects.csv")
    assert set(table["file_name"]) <= {f"000{number}.jpg" for number in range(1, 5)}
    shown = table.filter(like="probability of ")
    assert len(table) > 0
    assert (shown.sum(axis=1) - 1).abs().max() < 1e-3
    assert (shown.max(axis=1) - table["score"]).abs().max() < 1e-5


def test_the_picture_of_the_graph_builds(finished):
    project, _ = finished
    result = kedro(project, "viz", "build")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (project / "build/api/main").exists()


def test_own_and_shipped_predictions_are_never_mixed(tmp_path):
    project = copy_project(tmp_path / "recycling")
    own = "07_model_output/det/yolox/fold0/test.parquet"
    (project / "data" / own).parent.mkdir(parents=True)
    shutil.copy(project / "sample" / own, project / "data" / own)
    result = kedro(project, "run", "--pipeline", "ensembling")
    assert result.returncode != 0
    assert "not there (dataset" in result.stderr


@pytest.fixture(scope="module")
def ensembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone after the pipeline of ensembles, on the shipped predictions."""
    project = copy_project(tmp_path_factory.mktemp("clone") / "recycling")
    result = kedro(project, "run", "--pipeline", "ensembling")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Replacing dataset" not in result.stdout + result.stderr  # 40 lines, one a file
    return project


def test_the_report_of_one_pipeline_says_what_it_lacks(ensembled):
    page = (ensembled / "data/08_reporting/report.html").read_text()
    assert "Ensembles of detection</h2>" in page
    assert "Models of detection: kedro run --pipelines training_det." in page
    assert "Folds: kedro run --pipelines splitting." in page


def test_a_fresh_clone_ensembles_the_shipped_predictions(ensembled):
    summary = json.loads((ensembled / "data/08_reporting/summary.json").read_text())
    assert set(summary) == set(FEW)
    shipped, now = (
        {path.relative_to(root): path.stat().st_size for path in root.rglob("*") if path.is_file()}
        for root in (ROOT / "sample", ensembled / "sample")
    )
    assert now == shipped


def test_a_fresh_clone_compares_files(ensembled, tmp_path):
    made = ensembled / "data/07_model_output/det"
    names = [shutil.copy(made / f"{name}/submission.csv", tmp_path / f"{name}.csv")
             for name in ("searched", "final")]  # fmt: skip
    result = kedro(ensembled, "compare", *map(str, names))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "on 80 test images" in result.stdout
    assert "where they differ most" in result.stdout


def test_a_fresh_clone_compares_two_runs(ensembled, tmp_path):
    project = shutil.copytree(ensembled, tmp_path / "recycling")
    changed = "ensembling.det.iou_threshold=0.4"
    run = kedro(
        project, "run", "--pipelines", "ensembling", "--namespaces", "det.final",
        "--params", changed,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    result = kedro(project, "compare", "latest~1:det.final", "latest:det.final")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ensembling.det.iou_threshold: 0.65 -> 0.4" in result.stdout


def add_external(project: Path, task: str, name: str) -> Path:
    """Add the final ensemble's own submission as somebody else's predictions."""
    file = project / f"data/01_raw/members/{task}/{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    submission = project / f"data/07_model_output/{task}/final/submission.csv"
    if not file.exists():
        shutil.copy(submission, file)
    return file


def test_an_external_file_is_as_good_a_member_as_a_model(ensembled, tmp_path):
    project = shutil.copytree(ensembled, tmp_path / "recycling")
    before = json.loads((project / "data/08_reporting/det/scores.json").read_text())
    models = project / "conf/base/models.yml"
    content = yaml.safe_load(models.read_text())
    content["ensembles"]["with_a_colleague"] = ["yolox", "col*"]
    content["ensembles"]["searched"]["search"]["trials"] = 2
    models.write_text(yaml.safe_dump(content))
    fusion = {"ensembling": {"cls": {}, "seg": {}, "det": {"weights": "equal"}}}
    (project / "conf/local").mkdir(exist_ok=True)
    (project / "conf/local/parameters_ensembling.yml").write_text(yaml.safe_dump(fusion))
    add_external(project, "det", "colleague")
    result = kedro(project, "run", "--pipeline", "ensembling", "--namespaces", "det")
    assert result.returncode == 0, result.stdout + result.stderr
    scores = json.loads((project / "data/08_reporting/det/scores.json").read_text())
    assert scores["members"]["colleague.csv"] == pytest.approx(before["ensemble"])
    assert set(scores["others"]) == {"with_a_colleague", "searched"}
    submission = project / "data/07_model_output/det/with_a_colleague/submission.csv"
    assert submission.exists()


def test_what_the_model_was_least_sure_of_is_labelled_and_trained_on(finished, tmp_path):
    project = shutil.copytree(finished[0], tmp_path / "recycling")
    result = kedro(
        project, "predict", "data/01_raw/sample/images/pool", "--with", "det.final",
        "--formats", "label_studio", "--least-sure", "6", "--to", "new", "--score-threshold", "0",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    tasks = json.loads((project / "new/label_studio/tasks.json").read_text())
    assert len(tasks) == 6
    # A person takes the first proposal of each for Glass, and sends the answers back.
    for number, task in enumerate(tasks):
        answer = task.pop("predictions")[0]["result"][:1]
        for each in answer:
            each["value"]["rectanglelabels"] = ["Glass"]
        task |= {"id": number, "annotations": [{"result": answer}]}
    (project / "data/01_raw/sample/labelled.json").write_text(json.dumps(tasks))
    labelled = {
        "type": "recycling.datasets.LabelStudioDataset",
        "filepath": "data/01_raw/sample/labelled.json",
        "images": "images", "folder": "pool", "adds_to": "train.json",
    }  # fmt: skip
    (project / "conf/local/catalog_data.yml").write_text(
        yaml.safe_dump({"train.raw_annotations": labelled})
    )
    before = read_tables(project / "data/03_primary/train")
    result = kedro(
        project, "run", "--pipelines", "data_cleaning,splitting,training_det",
        "--namespaces", "cleaning,splitting,det.yolox.fold0",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    after = read_tables(project / "data/03_primary/train")
    new = after.images[after.images["file_name"].str.startswith("pool/")]
    assert len(after.images) == len(before.images) + len(new)
    assert 0 < len(new) <= 6  # cleaning leaves out copies
    folds = pd.read_parquet(project / "data/05_model_input/folds.parquet")
    assert set(new["image_id"]) <= set(folds["image_id"])
    learnt = folds.loc[folds["fold"] != 0, "image_id"]
    assert new["image_id"].isin(learnt).any()
    told = json.loads(
        (project / "data/06_models/det/yolox/fold0/checkpoint/checkpoint.json").read_text()
    )
    old = json.loads(
        (finished[0] / "data/06_models/det/yolox/fold0/checkpoint/checkpoint.json").read_text()
    )
    assert told["training_sha256"] != old["training_sha256"]


def test_csv_files_alone_are_ensembled_without_any_model(ensembled, tmp_path):
    project = shutil.copytree(ensembled, tmp_path / "recycling")
    for task in FEW:
        add_external(project, task, "mine")
        add_external(project, task, "yours")
    shutil.copytree(project / "sample/03_primary", project / "data/03_primary")
    shutil.copytree(project / "sample/01_raw/sample/images", project / "data/01_raw/sample/images")
    # What is left of two boxes that are the same is one of them.
    boxes = {"method": "nms", "iou_threshold": 0.99, "weights": {"mine": 2, "yours": 1}}
    fusion = {"ensembling": {"cls": {}, "seg": {}, "det": boxes}}
    (project / "conf/csv").mkdir()
    (project / "conf/csv/parameters_ensembling.yml").write_text(yaml.safe_dump(fusion))
    (project / "conf/csv/models.yml").write_text(yaml.safe_dump({"models": {}}))
    result = kedro(project, "run", "--env", "csv", "--pipeline", "ensembling")
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((project / "data/08_reporting/summary.json").read_text())
    for task in FEW:
        scores = summary[task]
        assert set(scores["members"]) == {"mine.csv", "yours.csv"}
        assert scores["ensemble"] == pytest.approx(scores["members"]["mine.csv"], abs=0.001)


def test_an_external_file_with_a_fault_is_named_with_its_image(ensembled, tmp_path):
    project = shutil.copytree(ensembled, tmp_path / "recycling")
    file = add_external(project, "det", "colleague")
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]))
    result = kedro(project, "run", "--pipeline", "ensembling")
    assert result.returncode != 0
    lacking = lines[-1].rsplit(",", 1)[1]
    assert re.search(rf"Error: .*colleague\.csv.*{re.escape(lacking)}", result.stderr)
