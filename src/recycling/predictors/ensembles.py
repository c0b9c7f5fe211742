"""Exported ensembles: a file that names those of its members, and says how they are fused."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError

from recycling.backends.shared.model import Task
from recycling.ensembling import RANKING, calibration_of, method_of
from recycling.ensembling.calibration import NONE
from recycling.files import write_text
from recycling.inference import InferenceError, Predictor
from recycling.inference.exported import OnnxModel
from recycling.pipelines.fusing import Choice, chosen_settings
from recycling.plan import FUSION
from recycling.predictors.fusing import categories_of, check_alone, fusion_of
from recycling.registry import PickedSettings, Strict


class ExportedMember(Strict):
    """A member of an exported ensemble.

    Attributes:
        name: What the ensemble calls it, such as ``yolox.fold0``.
        file: The ONNX file, in the folder of the ensemble's.
        sha256: Of this file.
    """

    name: str
    file: str = Field(pattern=r"^[\w.-]+\.onnx$")
    sha256: str


class ExportedEnsemble(Strict):
    """What the file of an exported ensemble says.

    Attributes:
        format: Of this description.
        name: What was exported, such as ``det.final``.
        task: What it predicts.
        members: Those that have a say.
        settings: How they are fused.
        ranking: Their ranks and scores; schema `RANKING`.
        choice: What a search has chosen, if there was one.
    """

    format: Literal[1] = 1
    name: str
    task: Task
    members: tuple[ExportedMember, ...] = Field(min_length=1)
    settings: dict[str, Any]
    ranking: tuple[dict[str, Any], ...]
    choice: Choice | None = None


def is_ensemble(path: Path) -> bool:
    """Whether an exported file is that of an ensemble.

    >>> is_ensemble(Path("exported/det.final.json")), is_ensemble(Path("det.yolox.fold0.onnx"))
    (True, False)
    """
    return path.suffix.lower() == ".json"


def write_ensemble(
    path: Path, task: Task, known: Mapping[str, Any], members: Mapping[str, Path]
) -> None:
    """Write how exported members are fused.

    Args:
        path: The file to write; it is called like the ensemble.
        task: What is predicted.
        known: The inputs of the fusion; see `fusion_of`.
        members: The file of each, in the same folder.

    Raises:
        InferenceError: The fusion learns from labelled images, which are not exported, or what it
            makes of an image depends on others.
    """
    settings, choice = known["settings"], known.get("choice")
    ranking = known["ranking"].astype(object)
    taken = chosen_settings(settings, members, choice)
    check_alone(path.stem, taken)
    if taken is not None and (method_of(taken).learns == "labels" or calibration_of(taken) != NONE):
        raise InferenceError(
            f"{path.stem}: its fusion learns from labelled images, which are not exported; use its "
            "members one by one, or an ensemble with calibrate: none and another method"
        )
    described = ExportedEnsemble(
        name=path.stem,
        task=task,
        members=tuple(
            ExportedMember(name=name, file=own.name, sha256=sha256(own.read_bytes()).hexdigest())
            for name, own in members.items()
        ),
        settings=settings.model_dump(mode="json"),
        ranking=ranking.where(ranking.notna(), None).to_dict("records"),
        choice=choice and {key: choice[key] for key in ("method", "weights", "settings")},
    )
    write_text(path, described.model_dump_json(indent=2) + "\n")


def ensemble_predictor(
    path: Path,
    *,
    batch_size: int | None = None,
    probabilities: bool = False,
    device: str | None = None,
) -> Predictor:
    """What an exported ensemble predicts.

    Args:
        path: The file that `write_ensemble` has written.
        batch_size: Images that are predicted together; None for as many as in training.
        probabilities: Whether segmenters also give the probabilities of pixels.
        device: As of `OnnxModel.load`.

    Raises:
        InferenceError: A file is not there, or another one than was exported; or what the fusion
            makes of an image depends on others.
    """
    described, settings = _read(path)
    ranking = RANKING.conform(pd.DataFrame(list(described.ranking)), where=f"{path}: ranking")
    known = {"settings": settings, "ranking": ranking}
    if described.choice is not None:
        known["choice"] = described.choice
    names = [member.name for member in described.members]
    taken = chosen_settings(settings, names, described.choice)
    check_alone(described.name, taken)
    soft = taken is not None and method_of(taken).takes == "probabilities"
    members = {}
    for member in described.members:
        model = OnnxModel.load(
            path.parent / member.file,
            batch_size=batch_size,
            probabilities=probabilities or soft,
            device=device,
        )
        if model.identity != member.sha256:
            raise InferenceError(
                f"{path.parent / member.file}: not the file that {path.name} was exported with; "
                f"export them together: kedro export {described.name}"
            )
        members[member.name] = model
    return Predictor(
        described.name,
        described.task,
        categories_of(str(path), members),
        members,
        fusion_of(described.task, known, names),
        sha256(path.read_bytes()).hexdigest(),
    )


def _read(path: Path) -> tuple[ExportedEnsemble, PickedSettings]:
    try:
        described = ExportedEnsemble.model_validate_json(path.read_bytes())
        settings: PickedSettings = FUSION[described.task].model_validate(described.settings)
    except OSError as error:
        raise InferenceError(f"{path}: {error.strerror or error}; check the path") from error
    except ValidationError as error:
        raise InferenceError(
            f"{path}: not exported by this version of the project; export it again: kedro export "
            "NAME"
        ) from error
    # Its kernels are compiled; what one model alone predicts needs none.
    if described.task != "cls" and find_spec("numba") is None:
        raise InferenceError(f'{path}: fusing takes numba; pip install "recycling[fuse]"')
    return described, settings
