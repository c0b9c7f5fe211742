"""A fusion method in a file of a user's own is one like the project's, by its name in YAML."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from recycling.configuration import ConfigLoader
from recycling.ensembling import BOX_METHODS, BoxFusion, detection_problem
from recycling.evaluation import Metrics
from recycling.pipeline_registry import import_custom
from recycling.pipelines import ensembling
from recycling.plan import ParameterError, PlanError, read_plan
from recycling.predictions import DETECTIONS

PARAMETERS = """
ensembling:
  det: {method: keep_all, least_score: 0.5}
ensembles:
  strict: {members: all, det: {method: keep_all, least_score: 0.8}}
"""


SOURCE = Path(__file__).with_name("keep_all.py")


@pytest.fixture(autouse=True)
def own_method(monkeypatch):
    """The method is known during a test, and unknown to all others."""
    monkeypatch.setattr(BOX_METHODS, "_entries", dict(BOX_METHODS._entries))
    runpy.run_path(str(SOURCE))


def boxes(*scores):
    rows = [(1, 5, score, 0.0, 0.0, 10.0, 10.0) for score in scores]
    return DETECTIONS.conform(pd.DataFrame(rows, columns=DETECTIONS.names), where="boxes")


@pytest.fixture
def plan(tmp_path):
    files = {name: tmp_path / f"{name}.csv" for name in ("a", "b")}
    for name in files:
        (tmp_path / f"{name}.oof.csv").touch()
    return lambda text: read_plan(yaml.safe_load(text), "models.yml", {"det": files})


@pytest.mark.parametrize(("ensemble", "kept"), [("final", [0.9, 0.6]), ("strict", [0.9])])
def test_it_fuses_where_the_parameters_or_an_ensemble_say_so(plan, ensemble, kept):
    parameters = yaml.safe_load(PARAMETERS)
    nodes = ensembling.create_pipeline(plan(PARAMETERS)).only_nodes(
        f"det.{ensemble}.rank_members", f"det.{ensemble}.fuse_test_predictions"
    )
    metrics = Metrics("mAP50", 0.5, {}, {})
    key = "ensembling.det" if ensemble == "final" else f"ensembles.{ensemble}.det"
    section, name, *rest = key.split(".")
    value = parameters[section][name][rest[0]] if rest else parameters[section][name]
    given = {
        "det.external.a.test_predictions": boxes(0.9, 0.3),
        "det.external.b.test_predictions": boxes(0.6),
        "det.external.a.out_of_fold_metrics": metrics,
        "det.external.b.out_of_fold_metrics": metrics,
        f"params:{key}": BoxFusion.model_validate(value),
    }
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in given.items()})
    made = SequentialRunner().run(nodes, catalog)
    fused = made[f"det.{ensemble}.test_predictions"].load()
    assert fused["score"].tolist() == kept


def test_what_it_does_not_take_is_refused_like_that_of_the_projects_own(plan):
    with pytest.raises(PlanError, match="'keep_all' takes no 'sigma' .*; it takes least_score"):
        plan("ensembles: {strict: {members: all, det: {method: keep_all, sigma: 1}}}")


def test_it_is_searched_with_the_settings_that_it_marks():
    folds = pd.DataFrame({"image_id": [1, 2], "fold": [0, 1]})
    members = {"a": boxes(0.9), "b": boxes(0.4)}
    problem = detection_problem(members, lambda fused, ids: len(fused), folds, methods=["keep_all"])
    (space,) = problem.methods
    assert space.defaults() == {"least_score": 0.5}
    assert not space.weighted


def test_custom_imports_register_what_a_module_holds(tmp_path, monkeypatch):
    source = SOURCE.read_text().replace("keep_all", "keep_some")
    (tmp_path / "own_methods.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    config = ConfigLoader("conf", env="base", base_env="base", default_run_env="local")
    import_custom(["own_methods"], config)
    assert "keep_some" in BOX_METHODS
    assert "own_methods" in sys.modules


def test_a_module_that_is_not_there_is_one_line_with_its_file(tmp_path):
    config = ConfigLoader("conf", env="base", base_env="base", default_run_env="local")
    with pytest.raises(ParameterError, match=r"parameters\.yml: custom_imports: nowhere: No modu"):
        import_custom(["nowhere"], config)
