"""What a newcomer sees of the graph: a few boxes, each of which opens."""

from pathlib import Path

import pytest
from kedro.pipeline import Pipeline
from kedro.pipeline.preview_contract import MermaidPreview, TextPreview

from recycling import pipeline_registry
from recycling.configuration import ConfigLoader
from recycling.plan import read_plan
from recycling.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph() -> Pipeline:
    """The pipeline that `kedro run` runs, of the sample's models."""
    config = ConfigLoader(str(ROOT / "conf"), env="base", **CONFIG_LOADER_ARGS)
    before = pipeline_registry._active
    pipeline_registry.activate(pipeline_registry.plan_of(config, ROOT))
    try:
        return pipeline_registry.register_pipelines()["__default__"]
    finally:
        pipeline_registry._active = before


def first_screen(graph: Pipeline) -> tuple[set[str], set[str]]:
    """The boxes of Kedro-Viz before any is opened: namespaces, and datasets between them."""
    spaces = {node.namespace.partition(".")[0] for node in graph.nodes}
    datasets = set()
    for space in spaces:
        inside = graph.only_nodes_with_namespaces([space])
        taken_elsewhere = (graph - inside).inputs() & inside.all_outputs()
        datasets |= inside.inputs() | inside.outputs() | taken_elsewhere
    return spaces, {name for name in datasets if not name.startswith("params:")}


def test_everything_hangs_in_a_namespace(graph):
    assert all(node.namespace for node in graph.nodes)
    spaces, _ = first_screen(graph)
    assert spaces == {"cleaning", "splitting", "cls", "det", "seg"}


def test_the_first_screen_has_few_boxes_and_no_loose_figure(graph):
    spaces, datasets = first_screen(graph)
    assert len(spaces) + len(datasets) <= 36
    shown = {name for name in datasets if name.endswith("_report")}
    of_tasks = {f"{task}.{kind}_report" for task in ("cls", "det", "seg")
                for kind in ("models", "ensembles")}  # fmt: skip
    assert shown == {"data_report", "folds_report", *of_tasks}
    assert {f"{task}.final.submission" for task in ("cls", "det", "seg")} <= datasets


def test_a_model_and_an_ensemble_are_addressed_as_ever(graph):
    (train,) = [n for n in graph.only_nodes_with_namespaces(["det.yolox.fold0"]).nodes
                if n.name == "det.yolox.fold0.train"]  # fmt: skip
    assert train.outputs == ["det.yolox.fold0.checkpoint"]
    assert graph.only_nodes_with_namespaces(["det.final"]).nodes


def test_a_training_shows_its_settings_and_an_ensemble_its_members(graph):
    nodes = {node.name: node for node in graph.nodes}
    settings = nodes["det.yolox.fold0.train"].preview()
    assert isinstance(settings, TextPreview)
    assert "recipe: yolox_narrow" in settings.content
    members = nodes["det.final.fuse_test_predictions"].preview()
    assert isinstance(members, MermaidPreview)
    assert '["yolox.fold0"] --> final' in members.content


@pytest.mark.parametrize(
    ("rounds", "needed"),
    [({"pseudo": {}}, True), ({"pseudo": {"images": ["test"]}}, False), ({}, False)],
    ids=["the pool is labelled", "test images are labelled", "no rounds"],
)
def test_a_pool_is_needed_only_where_a_round_labels_it(rounds, needed, monkeypatch):
    model = {"task": "det", "backend": "mmdet", "recipe": "yolox_narrow", "image_size": 112}
    rate = {"optimizer": {"learning_rate": 0.004}}
    models = {"yolox": {**model, "epochs": 1, "batch_size": 8, "folds": [0], **rate}}
    plan = read_plan({"models": models, "pseudo_labeling": rounds}, "models.yml")
    monkeypatch.setattr(pipeline_registry, "_active", plan)
    inputs = pipeline_registry.register_pipelines()["__default__"].inputs()
    assert {"train.raw_annotations", "test.raw_annotations"} <= inputs
    assert ("pool.raw_annotations" in inputs) == ("pool.images" in inputs) == needed
