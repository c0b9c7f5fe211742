"""Checkpoints of recipes whose weights are made on the spot, and how far their exports are off.

``python tests/export/untrained.py [BACKEND/RECIPE ...]`` prints a row for each recipe, or for all.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
from mmengine.config import utils

from backends.tiny_trainings import TASKS, draw_pictures, images_of, words_for
from recycling.annotations import BOX, LabeledImages
from recycling.backends import Checkpoint, Images, Model, TrainingData, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.config_file import CONFIG, text_of
from recycling.backends.mmengine_backend.data.training_set import TrainingSet
from recycling.backends.mmengine_backend.replaced import replaced
from recycling.backends.mmengine_backend.resolve import resolve
from recycling.backends.shared.checkpoint_folder import Trained, categories_of, write_checkpoint
from recycling.export import ExportError, export_model
from recycling.export.parity import Parity, compare

RECIPES = Path(__file__).parents[2] / "conf/recipes"
EVERY = [
    f"{backend}/{path.stem}"
    for backend in TASKS
    for path in sorted((RECIPES / backend).glob("[!_]*.py"))
]
SIDE = {"cls": 64, "det": 128, "seg": 128}
"""Of the images that networks see, pixels."""

LARGER = {"mmdet/ssd512_vgg16": 512}
"""Of those that need more."""


def untrained(name: str, pictures: LabeledImages, folder: Path) -> Checkpoint:
    """A checkpoint of a recipe, as after a training that learnt nothing."""
    import torch
    from mmengine.registry import MODELS

    backend, recipe = name.split("/")
    task = TASKS[backend]
    categories = pictures.annotations.categories
    if "_three_" in recipe:  # its classes are combinations: 3 x 2 x 3
        names = [f"combination {n}" for n in range(18)]
        categories = pd.DataFrame({"category_id": range(18), "name": names, "supercategory": ""})
    data = TrainingData([pictures], pictures, categories)
    side = LARGER.get(name, SIDE[task])
    model = Model(
        task=task, backend=backend, recipe=recipe, image_size=side, epochs=1, batch_size=2,
        optimizer={"learning_rate": 1e-4}, options=words_for(recipe),
        **({"score_threshold": 1e-4} if task == "det" else {}),
    )  # fmt: skip
    known = TrainingSet(Path("train.json"), data.class_names, n_samples=2, sha256="")
    torch.manual_seed(0)
    with session.library(backend), session.silence():
        config = resolve(model, RECIPES / f"{name}.py", known, folder)
        text = text_of(config.to_dict(), recipe)  # building changes the configs of some
        network = MODELS.build(config.model)
    _tell_images_apart(network, side, pictures)
    trained = Trained(model, categories_of(data), {})
    return write_checkpoint(folder / "checkpoint", trained, network.state_dict(), CONFIG, text)


def _tell_images_apart(network: Any, side: int, pictures: LabeledImages) -> None:
    """Untrained, a network says the same of all places, and what is the same is no test."""
    import torch
    from mmseg.models import EncoderDecoder

    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            if isinstance(network, EncoderDecoder):
                # Untrained, deep networks enlarge what is rounded; so they do less.
                torch.nn.init.constant_(module.weight, 0.3)
    # Statistics of other images would leave every score at 0 or 1.
    tables = pictures.annotations
    names = tables.images.set_index("image_id")["file_name"]
    read = [cv2.imread(str(pictures.folder.path / name)) for name in names]
    if hasattr(network, "head"):  # a classifier sees crops
        boxes = tables.annotations[["image_id", *BOX]].astype(int).to_numpy().tolist()
        read = [read[names.index.get_loc(i)][y:below, x:right] for i, x, y, right, below in boxes]
    seen = np.stack([cv2.resize(image, (side, side)) for image in read])
    images, before = (
        torch.from_numpy(seen).permute(0, 3, 1, 2).float().contiguous(),
        network.data_preprocessor,
    )
    if getattr(before, "mean", None) is not None:
        images = (images - before.mean) / before.std
    with torch.no_grad():
        network.extract_feat(images)
    for name, parameter in network.named_parameters():
        if "head" in name and ("cls" in name or "obj" in name):
            # Detectors begin with a bias by which nothing is an object.
            if parameter.dim() > 1:
                torch.nn.init.xavier_normal_(parameter)
            elif name.endswith("bias"):
                torch.nn.init.zeros_(parameter)
        elif name.endswith("weight") and ("multi_level_conv_reg" in name or ".rtm_reg" in name):
            # Boxes would be larger than the image, and rounding would move them by pixels.
            with torch.no_grad():
                parameter *= 0.1 if "conv_reg" in name else 0.5
    ends = (".fc", ".conv_seg")
    last = [own for name, own in network.named_modules() if name.endswith(ends)]
    last = [own for own in last if hasattr(own, "weight")]
    if last:
        # Logits in the thousands are rounded by more than scores may differ.
        network.eval()
        with torch.no_grad():
            said = network(images, mode="tensor")
            if isinstance(said, torch.Tensor):
                for own in last:
                    own.weight /= max(1.0, float(said.std()))


def parity_of(name: str, pictures: LabeledImages, folder: Path) -> str:
    """What `export_model` says of a recipe: how far it is off, or why it is not exported."""
    checkpoint, images = untrained(name, pictures, folder), images_of(pictures)
    try:
        return str(export_model(checkpoint, name.replace("/", "."), folder / "own.onnx", images))
    except ExportError as error:
        if "something else" in str(error):
            rounding = own_rounding(checkpoint, images)
            if not rounding.is_same:
                return f"cannot be told untrained: in double precision the library says: {rounding}"
        return f"not exported: {error}"


def own_rounding(checkpoint: Checkpoint, images: Images) -> Parity:
    """How far the library's predictions are from its own in double precision."""
    load = backend_for(checkpoint.backend).load
    loaded, exact = load(checkpoint, device="cpu"), load(checkpoint, device="cpu")
    module = exact.network.module.double()
    prepare = module.data_preprocessor.forward

    def in_double(data: Any, training: bool = False) -> Any:
        prepared = prepare(data, training)
        return {**prepared, "inputs": prepared["inputs"].double()}

    module.data_preprocessor.forward = in_double
    nms = sys.modules["mmcv.ops.nms"]
    operators: Any = nms.ext_module

    def in_single(boxes: Any, scores: Any, **settings: Any) -> Any:
        return operators.nms(boxes.float(), scores.float(), **settings)

    with replaced(nms, "ext_module", SimpleNamespace(nms=in_single)):
        found = loaded.predict(images), exact.predict(images)
    return compare(*found, checkpoint.facts["model"]["task"])


if __name__ == "__main__":
    # mmengine reads the libraries' whole indices of models anew for each config that is inherited.
    utils.load = cache(utils.load)
    with TemporaryDirectory() as place:
        drawn = draw_pictures(Path(place) / "pictures")
        for each in sys.argv[1:] or EVERY:
            with TemporaryDirectory() as own:
                try:
                    said = parity_of(each, drawn, Path(own))
                except Exception as error:
                    said = f"fault: {type(error).__name__}: {error}"
            print(f"| {each} | {' '.join(said.split())} |", flush=True)
