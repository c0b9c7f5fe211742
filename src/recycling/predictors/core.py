"""What predicts, by name: a model, one of its folds or an ensemble, as the last run left it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
from kedro.io import DataCatalog

from recycling.backends import Checkpoint, LoadedModel, backend_for
from recycling.backends.shared.model import Task
from recycling.errors import command
from recycling.inference import InferenceError, Predictor, Tiles, tiled
from recycling.inference.exported import is_exported, onnx_predictor
from recycling.pipelines.ensembling import ranker
from recycling.pipelines.fusing import chosen_settings, fusion_inputs, used_members
from recycling.plan import FUSION, EnsemblePlan, Plan, TrainingPlan
from recycling.plan.parameters import nearest
from recycling.predictors.ensembles import ensemble_predictor, is_ensemble, write_ensemble
from recycling.predictors.fusing import categories_of, check_alone, fusion_of

_NAME = re.compile(r"(?P<task>cls|det|seg)\.(?P<name>\w+(?:\.fold(?:\d+|_all))?)")


@dataclass(frozen=True)
class Loading:
    """How models are loaded.

    Attributes:
        device: What torch or onnxruntime computes on; None for the GPU where there is one.
        batch_size: Images that are predicted together; None for as many as in training.
        tiles: How large images are cut, if they are.
    """

    device: str | None = None
    batch_size: int | None = None
    tiles: Tiles | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of models that take the place of their own."""
        return {} if self.batch_size is None else {"batch_size": self.batch_size}


@dataclass(frozen=True)
class Asked:
    """What a name means.

    Attributes:
        name: As it was asked for.
        task: What it predicts.
        trainings: The trained models that predict.
        ensemble: How they are fused, where that is said of an ensemble; None of a model.
        env: The environment that it is of.
    """

    name: str
    task: Task
    trainings: tuple[TrainingPlan, ...]
    ensemble: EnsemblePlan | None = None
    env: str | None = None


def predictor_of(
    name: str, plan: Plan | None, catalog: DataCatalog, loading: Loading | None = None
) -> Predictor:
    """Load what a name means, once, to predict with it again and again.

    An ensemble is fused as on the test images: by the settings, the choice of a search, the ranking
    and the calibration of the run. The folds of a model are fused as where a search leaves a model
    alone: by the default method of its task.

    Args:
        name: `det.final`, `det.yolox`, `det.yolox.fold0`, or the path of an exported file.
        plan: Of the environment; None where exported files alone are named.
        catalog: Of the environment.
        loading: How models are loaded; None for as in training.

    Raises:
        InferenceError: There is no such thing, it is not trained, a file is among its members, or
            what its fusion makes of an image depends on others.
        BackendError: A checkpoint cannot be used.
    """
    loading = loading or Loading()
    if is_exported(name):
        return _exported(Path(name), loading)
    asked = look_up(name, plan)
    known = fusion_inputs_of(asked, catalog)
    used = used_trainings(asked, known)
    if known:
        names = [own.name for own in used]
        check_alone(name, chosen_settings(known["settings"], names, known.get("choice")))
    checkpoints = {own.name: _checkpoint(own, asked, catalog) for own in used}
    settings = loading.settings
    if asked.task == "seg" and loading.tiles is not None:
        settings["probabilities"] = True
    members: dict[str, LoadedModel] = {
        own: backend_for(checkpoint.backend).load(checkpoint, device=loading.device, **settings)
        for own, checkpoint in checkpoints.items()
    }
    predictor = Predictor(
        name,
        asked.task,
        categories_of(name, members),
        members,
        fusion_of(asked.task, known, list(members)),
        _identity(name, checkpoints, known),
    )
    return predictor if loading.tiles is None else tiled(predictor, loading.tiles)


def _exported(path: Path, loading: Loading) -> Predictor:
    tiles = loading.tiles
    load = ensemble_predictor if is_ensemble(path) else onnx_predictor
    predictor = load(
        path,
        batch_size=loading.batch_size,
        probabilities=tiles is not None,
        device=loading.device,
    )
    return predictor if tiles is None else tiled(predictor, tiles)


def task_of(name: str, plan: Plan | None) -> Task:
    """What is predicted by a model, an ensemble or an exported file.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.

    Raises:
        InferenceError: There is no such thing.
    """
    if is_exported(name):
        return _exported(Path(name), Loading(device="cpu")).task
    return look_up(name, plan).task


def checkpoints_of(name: str, plan: Plan | None, catalog: DataCatalog) -> dict[str, Checkpoint]:
    """The trained models that have a say in a name, by names such as ``det.yolox.fold0``.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.
        catalog: Of the environment.

    Raises:
        InferenceError: There is no such thing, or one of them is not trained.
    """
    asked = look_up(name, plan)
    used = used_trainings(asked, fusion_inputs_of(asked, catalog))
    return {own.namespace: _checkpoint(own, asked, catalog) for own in used}


def write_fusion(name: str, plan: Plan | None, catalog: DataCatalog, folder: Path) -> Path | None:
    """Write how the members behind a name are fused, beside their exported files.

    Args:
        name: As of `predictor_of`.
        plan: Of the environment.
        catalog: Of the environment.
        folder: Where the files are, called as by `checkpoints_of`.

    Returns:
        The file; None where one model is all that there is.

    Raises:
        InferenceError: The fusion learns from labelled images, which are not exported, or what it
            makes of an image depends on others.
    """
    asked = look_up(name, plan)
    known = fusion_inputs_of(asked, catalog)
    if not known:
        return None
    used = used_trainings(asked, known)
    files = {own.name: folder / f"{own.namespace}.onnx" for own in used}
    write_ensemble(folder / f"{name}.json", asked.task, known, files)
    return folder / f"{name}.json"


def look_up(name: str, plan: Plan | None) -> Asked:
    """What a name means.

    Args:
        name: `det.final`, `det.yolox` or `det.yolox.fold0`.
        plan: Of the environment.

    Raises:
        InferenceError: There is no such thing, or a file is among its members.
    """
    if plan is None or is_exported(name):
        raise InferenceError(f"{name}: an exported file; name the model that was exported")
    trainings = [own for own in plan.trainings if own.study is None]
    names = [f"{own.task}.{own.name}" for own in plan.ensembles]
    names += [own.namespace for own in trainings]
    names += dict.fromkeys(f"{own.task}.{own.model}" for own in trainings)
    if _NAME.fullmatch(name) is None or name not in names:
        raise InferenceError(f"--with {name}: {nearest(name, dict.fromkeys(names))}")
    for ensemble in plan.ensembles:
        if ensemble.namespace == name:
            return Asked(name, ensemble.task, _trainings_in(ensemble), ensemble, plan.env)
    own = [each for each in trainings if name in (each.namespace, f"{each.task}.{each.model}")]
    return Asked(name, own[0].task, tuple(own), env=plan.env)


def _trainings_in(ensemble: EnsemblePlan) -> tuple[TrainingPlan, ...]:
    files = [own.name for own in ensemble.members if not isinstance(own, TrainingPlan)]
    if files:
        raise InferenceError(
            f"{ensemble.namespace}: {files[0]} is a file of predictions, which predicts nothing "
            "new; name a model, or an ensemble without it"
        )
    return cast(tuple[TrainingPlan, ...], ensemble.members)


# What a run has left ------------------------------------------------------------------------------


def fusion_inputs_of(asked: Asked, catalog: DataCatalog) -> dict[str, Any]:
    """The inputs of the fusion but for what members predict, by argument.

    Args:
        asked: What is fused.
        catalog: Of the environment.

    Raises:
        InferenceError: One of them is not there.
    """
    members = asked.trainings
    if asked.ensemble is None:
        if len(members) == 1:
            return {}
        metrics = {own.name: own.out_of_fold_metrics for own in members if own.has_out_of_fold}
        metrics = {name: key for name, key in metrics.items() if catalog.exists(key)}
        scores = {name: catalog.load(key) for name, key in metrics.items()}
        settings = FUSION[asked.task].model_validate({})
        return {"ranking": ranker([own.name for own in members])(**scores), "settings": settings}
    nothing = {own.name: "" for own in members}
    inputs = fusion_inputs(asked.ensemble, nothing, nothing, "")
    known = {key: _loaded(name, asked, catalog) for key, name in inputs.items() if name}
    known["settings"] = FUSION[asked.task].model_validate(known["settings"])
    return known


def _loaded(name: str, asked: Asked, catalog: DataCatalog) -> Any:
    if not catalog.exists(name):
        fuse = command("run --pipelines ensembling", asked.env)
        raise InferenceError(f"{asked.name}: {name} is not there; fuse it first: {fuse}")
    return catalog.load(name)


def used_trainings(asked: Asked, known: Mapping[str, Any]) -> list[TrainingPlan]:
    """The trainings that have a say: a search may have left some out.

    Args:
        asked: What is fused.
        known: See `fusion_inputs_of`.
    """
    names = [own.name for own in asked.trainings]
    if "choice" in known:
        names = used_members(names, known["settings"], known["choice"])
    return [own for own in asked.trainings if own.name in names]


def _checkpoint(training: TrainingPlan, asked: Asked, catalog: DataCatalog) -> Checkpoint:
    if not catalog.exists(training.checkpoint):
        train = command(f"run --namespaces {training.namespace}", asked.env)
        raise InferenceError(f"{training.namespace} is not trained; {train}")
    checkpoint: Checkpoint = catalog.load(training.checkpoint)
    return checkpoint


def _identity(name: str, checkpoints: Mapping[str, Checkpoint], known: Mapping[str, Any]) -> str:
    """A hash of all that says what is predicted."""
    facts = {own: checkpoint.facts for own, checkpoint in checkpoints.items()}
    weights = {own: (each["weights_sha256"], each["model"]) for own, each in facts.items()}
    fused = {key: known[key] for key in ("ranking", "settings", "choice") if key in known}
    said = json.dumps([name, weights, fused], default=_as_text, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _as_text(value: Any) -> str:
    return str(value.to_csv() if isinstance(value, pd.DataFrame) else value.model_dump_json())
