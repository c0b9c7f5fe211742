"""``kedro run --only-missing-outputs`` after something that outputs were made of has changed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal

import pytest
from kedro.framework.hooks import hook_impl

from fingerprints.small_project import model
from recycling.backends.shared.checkpoint_folder import FORMAT
from recycling.fingerprints import Records, summary


def test_what_nothing_has_changed_for_is_not_made_again(project, caplog):
    caplog.set_level(logging.INFO, "recycling")
    assert project.run() == []
    assert "7 outputs are up to date" in caplog.text


def test_times_alone_make_nothing_stale(project):
    copy = project.folder / "copy"
    shutil.copytree(project.folder / "data", copy, copy_function=shutil.copy)
    shutil.rmtree(project.folder / "data")
    copy.rename(project.folder / "data")
    for path in (project.folder / "raw.txt", *project.members.iterdir()):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert project.run() == []


def test_a_corrected_member_is_read_and_fused_again_and_no_other(project, caplog):
    (project.members / "own.csv").write_text("2\n")
    assert project.run() == ["read own", "fuse", "submit"]
    assert project.submitted()["members"][-1] == "{'rows': '2\\n'}"
    assert "4 outputs are up to date, 3 stale: own.predictions: " in caplog.text
    assert "members/own.csv changed" in caplog.text
    assert project.run() == []


def test_a_new_member_is_read_and_fused_and_no_other_is_read_again(project, caplog):
    (project.members / "theirs.csv").write_text("3\n")
    assert project.run() == ["read theirs", "fuse", "submit"]
    assert project.submitted()["members"][-1] == "{'rows': '3\\n'}"
    assert "1 missing, 2 stale: fused: theirs.predictions is a new input" in caplog.text
    assert project.run() == []


def test_a_member_that_is_gone_is_not_in_the_submission(project, caplog):
    (project.members / "own.csv").unlink()
    assert project.run() == ["fuse", "submit"]
    assert len(project.submitted()["members"]) == 2
    assert "own.predictions is no input any more" in caplog.text


def test_a_changed_parameter_is_named_with_both_values(project, caplog):
    project.fusion = {"method": "soft_nms", "iou_threshold": 0.5}
    assert project.run() == ["fuse", "submit"]
    assert project.submitted()["method"] == "soft_nms"
    line = "5 outputs are up to date, 2 stale: fused: parameter fusion.method changed"
    assert f"{line} (nms -> soft_nms)" in caplog.text
    assert project.run() == []


def test_a_changed_setting_of_one_model_makes_its_chain_and_what_hangs_on_it(project, caplog):
    project.models["a"] = model(epochs=13)
    assert project.run() == ["train a", "predict a", "fuse", "submit"]
    reason = "cls.a.fold0.checkpoint: parameter models.a.epochs changed (12 -> 13)"
    assert f"3 outputs are up to date, 4 stale: {reason}" in caplog.text
    assert project.run() == []


def test_a_setting_that_alters_no_result_trains_nothing_again(project):
    project.models["a"] = model(cache_megabytes=100, folds=(0, 1), skip_if_missing=True)
    assert project.run() == []


def test_a_setting_that_is_newer_than_the_model_counts_as_its_default(project):
    path = project.made / "cls.a.fold0.checkpoint.json"
    record = json.loads(path.read_text())
    del record["ingredients"]["parameters"]["models.a"]["loss"]
    path.write_text(json.dumps(record))
    assert project.run() == []


def test_what_a_memory_holds_in_between_hands_on_what_it_was_made_of(project, caplog):
    project.raw("raw two")
    ran = project.run()
    assert sorted(ran) == sorted(["train a", "train b", "predict a", "predict b", "fuse", "submit"])
    assert "raw two without 0" in project.submitted()["members"][0]
    assert "raw.txt changed" in caplog.text


def test_a_recipe_trains_its_own_models_again(project, caplog):
    (project.recipes / "small.py").write_text("# Small.\n_base_ = './_base.py'\nx = 1\n")
    assert project.run() == ["train a", "predict a", "fuse", "submit"]
    assert "recipes/mmpretrain/small.py changed" in caplog.text


def test_what_a_recipe_is_based_on_counts_and_its_comments_do_not(project):
    (project.recipes / "small.py").write_text("# Smaller.\n_base_ = './_base.py'\n")
    assert project.run() == []
    (project.recipes / "_base.py").write_text("model = {'depth': 18}\n")
    assert project.run().count("train a") == 1


@pytest.mark.parametrize("inside", ["", "weights.pth"])
def test_other_weights_to_start_from_under_the_same_name_train_again(
    inside, project, caplog, tmp_path
):
    path = tmp_path / "start" / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"one")
    project.models["a"] = model(pretrained=str(tmp_path / "start"))
    assert project.run().count("train a") == 1
    os.utime(path, (1, 1))
    assert project.run() == []
    path.write_bytes(b"other")
    assert project.run() == ["train a", "predict a", "fuse", "submit"]
    assert f"{path} changed" in caplog.text


def test_other_weights_that_a_recipe_names_under_the_same_name_train_again(
    project, caplog, tmp_path
):
    start = tmp_path / "start.pth"
    start.write_bytes(b"one")
    (project.recipes / "_base.py").write_text(f"load_from = {str(start)!r}\n")
    project.models["a"] = model(pretrained="default")
    assert project.run().count("train a") == 1
    start.write_bytes(b"other")
    assert project.run() == ["train a", "predict a", "fuse", "submit"]
    assert f"{start} changed" in caplog.text


def test_a_record_of_an_earlier_version_names_no_weights_and_trains_nothing_again(
    project, tmp_path
):
    start = tmp_path / "start.pth"
    start.write_bytes(b"one")
    project.models["a"] = model(pretrained=str(start))
    project.run()
    path = project.made / "cls.a.fold0.checkpoint.json"
    record = json.loads(path.read_text())
    del record["ingredients"]["inputs"][f"weights {start}"]
    path.write_text(json.dumps(record))
    assert project.run() == []


def test_a_checkpoint_of_an_earlier_format_is_trained_again(project, caplog):
    for record in project.made.glob("cls.a.*.json"):
        record.unlink()
    facts = project.folder / "data/a/checkpoint/checkpoint.json"
    content = json.loads(facts.read_text())
    del content["format"]
    facts.write_text(json.dumps(content))
    assert project.run() == ["train a", "predict a", "fuse", "submit"]
    assert f"format of the checkpoint: 1 -> {FORMAT}" in caplog.text


def test_outputs_without_a_record_are_taken_as_made_and_counted(project, caplog):
    shutil.rmtree(project.made)
    assert project.run() == []
    assert "7 of them have no record" in caplog.text


def test_without_a_record_a_checkpoint_still_knows_its_settings(project, caplog):
    shutil.rmtree(project.made)
    project.models["a"] = model(epochs=13)
    assert project.run() == ["train a", "predict a", "fuse", "submit"]
    assert "epochs: 12 -> 13" in caplog.text


def test_without_a_record_what_is_older_than_its_model_is_made_again(project, caplog):
    shutil.rmtree(project.made)
    os.utime(project.folder / "data/b/p.json", (1_000_000_000, 1_000_000_000))
    assert project.run() == ["predict b", "fuse", "submit"]
    assert "cls.b.fold0.predictions: older than cls.b.fold0.checkpoint" in caplog.text


def test_without_a_record_what_a_failed_node_should_have_made_is_not_taken_as_made(project):
    project.fails = True
    with pytest.raises(ValueError, match="no such image"):
        project.run(only_missing=False)
    (project.made / "fused.json").unlink()
    assert project.states()["fused"].kind == "failed"
    project.fails = False
    assert project.run() == ["fuse", "submit"]


def test_what_follows_from_a_missing_output_is_made_again(project):
    (project.folder / "data/a/p.json").unlink()
    assert project.run() == ["predict a", "fuse", "submit"]


def test_an_output_that_something_else_has_written_is_stale(project, caplog):
    (project.folder / "data/fused.json").write_text("{}")
    assert project.run() == ["fuse", "submit"]
    assert "fused: it has been written to since it was made" in caplog.text


def test_a_record_that_is_cut_off_is_stale(project, caplog):
    (project.made / "fused.json").write_text('{"format": 1, "no')
    assert project.run() == ["fuse", "submit"]
    assert "its record cannot be read" in caplog.text


def test_a_changed_option_of_a_catalog_entry_is_a_change_of_the_input(project):
    path = project.made / "own.predictions.json"
    record = json.loads(path.read_text())
    record["ingredients"]["inputs"]["external"]["entry"]["missing_images"] = "skip"
    path.write_text(json.dumps(record))
    why = "catalog entry external changed (missing_images: skip -> nothing)"
    assert project.states()["own.predictions"].why == why


class KillAfterSave:
    """Kills the process when an output is there and its record is not."""

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, dataset_name: str) -> None:
        if dataset_name == "fused":
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_between_an_output_and_its_record_leaves_it_stale(project):
    project.fusion = {"method": "soft_nms", "iou_threshold": 0.5}
    if (child := os.fork()) == 0:
        project.run(more_hooks=KillAfterSave())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert json.loads((project.folder / "data/fused.json").read_text())["method"] == "soft_nms"
    # As things were before: the record fits again, but not the output that lies beside it.
    project.fusion = {"method": "nms", "iou_threshold": 0.5}
    assert project.states()["fused"].kind == "stale"
    assert project.run() == ["fuse", "submit"]
    assert project.submitted()["method"] == "nms"


def test_a_node_that_failed_is_known_till_it_succeeds(project):
    project.fusion, project.fails = {"method": "wbf"}, True
    with pytest.raises(ValueError, match="no such image"):
        project.run()
    state = project.states()["fused"]
    assert (state.kind, state.why) == ("failed", "boxes.csv: no such image; remove it")
    project.fails = False
    assert project.run() == ["fuse", "submit"]
    assert {state.kind for state in project.states().values()} == {"made"}
    assert Records(project.made).failure("fuse") is None


def test_an_output_that_is_written_by_another_run_meanwhile_stops_this_one(project):
    class OtherRun:
        @hook_impl(trylast=True)
        def after_dataset_saved(self, dataset_name: str) -> None:
            if dataset_name == "fused":
                (project.folder / "data/fused.json").write_text('{"of": "another run"}')

    project.fusion = {"method": "wbf"}
    with pytest.raises(RuntimeError, match="fused: another run has written it"):
        project.run(more_hooks=OtherRun())
    assert project.submitted()["method"] == "nms"


def test_at_most_three_reasons_are_named(project):
    for name in ("c", "d", "e", "f", "g"):
        (project.members / f"{name}.csv").write_text("1\n")
    project.run()
    for name in ("c", "d", "e", "f", "g"):
        (project.members / f"{name}.csv").write_text("2\n")
    line = summary(list(project.states().values()))
    assert line.count("changed") == 3
    assert line.endswith("and 2 more reasons")


def test_images_shown_after_a_run_were_made_in_it(project):
    """What counted as missing is there once it has been made."""
    project.fusion = {"method": "wbf"}

    seen = []

    class Look:
        @hook_impl
        def after_pipeline_run(self, catalog: object) -> None:
            seen.append(catalog.exists("fused"))  # type: ignore[attr-defined]

    project.run(more_hooks=Look())
    assert seen == [True]
