"""A project of two models, two members' files and an ensemble, small enough to run in no time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import AbstractRunner, SequentialRunner

from recycling.backends import Checkpoint, Model, Recipes
from recycling.backends.shared.checkpoint_folder import FORMAT
from recycling.datasets import (
    CheckpointDataset,
    ExternalMembersDataset,
    JsonDataset,
    RecipesDataset,
    RunFolderDataset,
    RunsDataset,
    TextDataset,
)
from recycling.fingerprints import ContentCache, Graph, Records, State, states
from recycling.hooks import ManifestHooks, UpToDateHooks
from recycling.predictions import ExternalMembers

SETTINGS = {
    "task": "cls",
    "backend": "mmpretrain",
    "recipe": "small",
    "image_size": 64,
    "epochs": 12,
    "batch_size": 8,
    "optimizer": {"name": "AdamW", "learning_rate": 0.01},
}


def model(**settings: object) -> Model:
    return Model.model_validate({**SETTINGS, **settings})


class Ran:
    """The nodes that ran; an object of its own, as functions are not told apart by such."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def append(self, name: str) -> None:
        self.names.append(name)


class Project:
    """Two models are trained and asked, members are read, an ensemble of all is submitted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = {"a": model(), "b": model(recipe="other")}
        self.fusion = {"method": "nms", "iou_threshold": 0.5}
        self.recipes = folder / "recipes/mmpretrain"
        self.members = folder / "members"
        self.recipes.mkdir(parents=True)
        self.members.mkdir()
        for recipe in ("small", "other"):
            (self.recipes / f"{recipe}.py").write_text("# Small.\n_base_ = './_base.py'\n")
        (self.recipes / "_base.py").write_text("model = {}\n")
        (self.members / "own.csv").write_text("1\n")
        self.raw("raw one")
        self.fails = False
        self.custom_imports: list[str] = []

    def raw(self, text: str) -> None:
        (self.folder / "raw.txt").write_text(text)

    def graph(self, ran: Ran | None = None) -> tuple[Pipeline, DataCatalog]:
        """The nodes and the catalog as they are now; those that run are noted down."""
        ran = Ran() if ran is None else ran
        files = self.folder / "data"
        names = sorted(path.stem for path in self.members.glob("*.csv"))
        catalog = DataCatalog(
            {
                "raw": TextDataset(filepath=self.folder / "raw.txt"),
                "recipes": RecipesDataset(filepath=self.folder / "recipes"),
                "runs": RunFolderDataset(filepath=self.folder / "trainings"),
                "external": ExternalMembersDataset(filepath=self.members),
                "params:fusion": MemoryDataset(self.fusion),
                "params:custom_imports": MemoryDataset(self.custom_imports),
                "fused": JsonDataset(filepath=files / "fused.json"),
                "submission": TextDataset(filepath=files / "submission.csv"),
            }
        )

        def trainer(name: str) -> Callable[..., Checkpoint]:
            def train(model: Model, recipes: Recipes, part: str) -> Checkpoint:
                ran.append(f"train {name}")
                folder = self.folder / "trained"
                folder.mkdir(exist_ok=True)
                facts = {"format": FORMAT, "model": model.model_dump(mode="json"), "part": part}
                (folder / "checkpoint.json").write_text(json.dumps(facts))
                return Checkpoint(folder)

            return train

        def selector(fold: int) -> Callable[[str], str]:
            return lambda text: f"{text} without {fold}"

        def predictor(name: str) -> Callable[[Checkpoint], dict[str, str]]:
            def predict(checkpoint: Checkpoint) -> dict[str, str]:
                ran.append(f"predict {name}")
                return json.loads((checkpoint.folder / "checkpoint.json").read_text())

            return predict

        def reader(name: str) -> Callable[[ExternalMembers], dict[str, str]]:
            def read(external: ExternalMembers) -> dict[str, str]:
                ran.append(f"read {name}")
                return {"rows": external[name].read_text()}

            return read

        def fuse(fusion: dict[str, object], **members: dict[str, str]) -> dict[str, object]:
            ran.append("fuse")
            if self.fails:
                raise ValueError("boxes.csv: no such image; remove it")
            return {**fusion, "members": [str(own) for own in members.values()]}

        def submit(fused: dict[str, object]) -> str:
            ran.append("submit")
            return json.dumps(fused)

        nodes, members = [], {}
        for name, settings in self.models.items():
            catalog[f"params:models.{name}"] = MemoryDataset(settings)
            space = f"cls.{name}.fold0"
            catalog[f"{space}.checkpoint"] = CheckpointDataset(filepath=files / name / "checkpoint")
            catalog[f"{space}.predictions"] = JsonDataset(filepath=files / name / "p.json")
            nodes += [
                node(selector(0), "raw", f"{space}.part", name=f"{name}.select"),
                node(trainer(name), [f"params:models.{name}", "recipes", f"{space}.part"],
                     f"{space}.checkpoint", name=f"{name}.train"),
                node(predictor(name), f"{space}.checkpoint", f"{space}.predictions",
                     name=f"{name}.predict"),
            ]  # fmt: skip
            members[name] = f"{space}.predictions"
        for name in names:
            catalog[f"{name}.predictions"] = JsonDataset(filepath=files / f"{name}.json")
            nodes.append(node(reader(name), "external", f"{name}.predictions", name=f"{name}.read"))
            members[f"{name}_csv"] = f"{name}.predictions"
        nodes += [
            node(fuse, {"fusion": "params:fusion", **members}, "fused", name="fuse"),
            node(submit, "fused", "submission", name="submit"),
        ]
        return Pipeline(nodes), catalog

    def run(
        self,
        *,
        only_missing: bool = True,
        more_hooks: object = None,
        manifests: bool = False,
        runner: AbstractRunner | None = None,
        run_id: str | None = None,
    ) -> list[str]:
        """Run, and say which nodes ran."""
        ran = Ran()
        pipeline, catalog = self.graph(ran)
        hooks, manager = UpToDateHooks(self.made), _create_hook_manager()
        if manifests:
            catalog["run_manifests"] = RunsDataset(filepath=self.runs)
            manager.register(ManifestHooks(self.made, {}))
        if more_hooks is not None:
            manager.register(more_hooks)
        manager.register(hooks)
        parameters = {"only_missing_outputs": only_missing, "run_id": run_id}
        manager.hook.before_pipeline_run(run_params=parameters, pipeline=pipeline, catalog=catalog)
        try:
            (runner or SequentialRunner()).run(
                pipeline, catalog, manager, only_missing_outputs=only_missing
            )
        except Exception as error:
            manager.hook.on_pipeline_error(
                error=error, run_params=parameters, pipeline=pipeline, catalog=catalog
            )
            raise
        manager.hook.after_pipeline_run(
            run_params=parameters, run_result={}, pipeline=pipeline, catalog=catalog
        )
        return ran.names

    @property
    def made(self) -> Path:
        return self.folder / "data/.made"

    @property
    def runs(self) -> Path:
        return self.folder / "data/08_reporting/runs"

    def states(self, **options: bool) -> dict[str, State]:
        graph = Graph(*self.graph(), ContentCache(self.made / "content.json"))
        return {state.name: state for state in states(graph, Records(self.made), **options)}

    def submitted(self) -> dict[str, object]:
        return json.loads((self.folder / "data/submission.csv").read_text())
