"""What docs/models.md says of models is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from recycling.backends import (
    Anchors,
    BackendError,
    Devices,
    EarlyStopping,
    Model,
    Optimizer,
    Recipes,
    Resources,
    Sampler,
    Schedule,
    TestTimeAugmentation,
)
from recycling.backends.core import refuse
from recycling.backends.detectron2_backend.resolve import CANNOT
from recycling.backends.losses import LOSSES
from recycling.backends.shared.model import BACKENDS_OF, BackendName
from recycling.plan import read_plan
from recycling.plan.variants import Variants, with_variants

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
RECIPES = Recipes(ROOT / "conf" / "recipes")
NESTED: dict[str, type[BaseModel]] = {
    "optimizer": Optimizer,
    "schedule": Schedule,
    "sampler": Sampler,
    "anchors": Anchors,
    "early_stopping": EarlyStopping,
    "devices": Devices,
    "resources": Resources,
    "test_time_augmentation": TestTimeAugmentation,
}
OWN_LOSSES = {
    name: loss for name, loss in LOSSES.items() if loss.settings.__module__.startswith("recycling.")
}
"""Without those that other tests register."""

NEEDED: dict[str, Any] = {
    "recipe": "a_recipe",
    "image_size": 112,
    "epochs": 1,
    "batch_size": 4,
    "optimizer": {"learning_rate": 0.1},
    "pretrained": "default",
}
"""What each model needs, whatever else is set."""


def table(first: str) -> list[list[str]]:
    """The cells of the table whose first heading this is."""
    _, _, rest = PAGE.partition(f"| {first} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def entries_of_models() -> str:
    (text,) = (block for block in blocks("yaml") if block.startswith("models:"))
    return text


def fits_a_task(settings: dict[str, Any]) -> bool:
    """Whether some task takes the settings."""
    for task, (backend, *_) in BACKENDS_OF.items():
        entry = {"task": task, "backend": backend, **NEEDED, **settings}
        try:
            for own in with_variants({"own": entry}, "models.yml").values():
                Model.model_validate(own)
        except ValidationError:
            continue
        return True
    return False


def test_every_setting_has_its_row() -> None:
    rows = {name for cells in table("setting") for name in codes(cells[0])}
    nested = [(codes(of)[0], name) for of, names, *_ in table("of") for name in codes(names)]
    # What lists of several models are resolved to is nothing that a user writes.
    written = {*Model.model_fields, *Variants.model_fields} - {"snapshot", "study", "variant_of"}
    assert rows | {of for of, _ in nested} == written
    expected = [(of, name) for of, settings in NESTED.items() for name in settings.model_fields]
    of_losses = {name for loss in OWN_LOSSES.values() for name in loss.settings.model_fields}
    expected += [("loss", name) for name in of_losses]
    assert sorted(nested) == sorted(expected)


def test_the_losses_named_are_those_that_there_are() -> None:
    rows = {codes(names)[0]: cells for of, names, *cells in table("of") if codes(of) == ["loss"]}
    said = dict(re.findall(r"`(cls|det|seg)`: ((?:`\w+`(?:, )?)+)", rows["name"][0]))
    assert {task: set(codes(names)) for task, names in said.items()} == {
        task: {name for name, loss in OWN_LOSSES.items() if task in loss.thing.tasks}
        for task in BACKENDS_OF
    }


def test_each_setting_of_a_loss_is_said_to_be_of_those_that_take_it() -> None:
    of_all = {"name", "weight"}
    for of, names, said, _ in table("of"):
        if codes(of) == ["loss"]:
            for name in set(codes(names)) - of_all:
                takers = {
                    loss
                    for loss, entry in OWN_LOSSES.items()
                    if name in entry.settings.model_fields
                }
                assert takers == set(codes(said)) & set(OWN_LOSSES), name


def test_every_row_of_a_setting_shows_how_it_is_written() -> None:
    for names, _, examples, *_ in table("setting"):
        shown = [yaml.safe_load(example) for example in codes(examples)]
        assert {name for one in shown for name in one} >= set(codes(names)), names
        for one in shown:
            assert fits_a_task(one), one


def test_every_row_of_a_settings_own_settings_shows_how_they_are_written() -> None:
    for of, names, _, examples in table("of"):
        shown = [yaml.safe_load(example) for example in codes(examples)]
        for one in shown:
            assert fits_a_task({codes(of)[0]: one}), one
        settings = [one for some in shown for one in (some if isinstance(some, list) else [some])]
        assert {name for one in settings for name in one} >= set(codes(names)), names


def test_what_detectron2_cannot_honour_is_said_and_refused() -> None:
    no = {name for cells in table("setting") if cells[4] == "no" for name in codes(cells[0])}
    assert no == {*CANNOT, "dropout", "encoder", "probabilities"}
    model = {"task": "det", "backend": "detectron2", **NEEDED}
    with pytest.raises(BackendError, match="detectron2 cannot honour 'devices'"):
        refuse(Model.model_validate({**model, "devices": 2}), CANNOT)
    with pytest.raises(ValidationError, match="probabilities is for masks"):
        Model.model_validate({**model, "probabilities": True})


def test_the_augmentations_and_backbones_named_are_those_that_there_are() -> None:
    from recycling.backends.mmengine_backend.settings.augmentation import OF_TASK
    from recycling.backends.mmengine_backend.settings.freezing import STAGES

    cells = {codes(row[0])[0]: row[3] for row in table("setting")}
    said = dict(re.findall(r"`(\w+)`: ((?:`\w+`(?:, )?)+)", cells["augmentation"]))
    assert {task: set(codes(names)) for task, names in said.items()} == {
        task: set(names) for task, names in OF_TASK.items()
    }
    known = {name.split(".")[1] for name in STAGES}
    known = {re.sub("Transformer$|Features$", "", name) for name in known}
    known = known - {"TimmBackbone"} | {"timm"}
    assert set(cells["freeze"].split(", ")) == known


def test_every_entry_is_accepted_as_the_models_of_a_run() -> None:
    text = entries_of_models()
    plan = read_plan(yaml.safe_load(text), "docs/models.md")
    assert [model.task for model in plan.models.values()] == ["cls", "det", "seg"]


def test_the_augmented_set_shown_is_one_that_a_model_can_learn_from() -> None:
    (text,) = (block for block in blocks("yaml") if "augmented_sets:" in block)
    entries = yaml.safe_load(entries_of_models())
    entries["models"]["cascade"]["data"] = "turned"
    plan = read_plan({**entries, **yaml.safe_load(text)}, "docs/models.md")
    sets = {training.model: training.augmented_set for training in plan.trainings}
    assert sets["cascade"] == "turned.augmented_set"
    assert sets["segformer"] is None


def test_every_recipe_named_is_there() -> None:
    named = re.findall(rf"`({'|'.join(get_args(BackendName))})/(\w+)`", PAGE)
    entries = yaml.safe_load(entries_of_models())["models"].values()
    named += [(entry["backend"], entry["recipe"]) for entry in entries]
    assert len(named) > 10
    for backend, recipe in named:
        RECIPES.find(backend, recipe)


def test_every_file_that_the_page_links_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert links
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    for link in links:
        if link.startswith("#"):
            assert link[1:] in {heading.lower().replace(" ", "-") for heading in headings}, link
        else:
            assert (ROOT / "docs" / link).exists(), link


def test_the_entries_and_the_recipe_of_ones_own_become_configs_of_trainings(
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("mmdet")
    from backends.tiny_trainings import data_of, draw_pictures
    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import write_training_set
    from recycling.backends.mmengine_backend.resolve import resolve

    text = entries_of_models()
    models = list(read_plan(yaml.safe_load(text), "docs/models.md").models.values())
    recipes = [RECIPES.find(model.backend, model.recipe) for model in models]
    own = tmp_path / "retinanet_r18.py"
    own.write_text(blocks("python")[0])
    models.append(models[1].model_copy(update={"recipe": own.stem, "pretrained": "none"}))
    recipes.append(own)
    data = data_of(draw_pictures(tmp_path / "pictures"))
    for number, (model, recipe) in enumerate(zip(models, recipes, strict=True)):
        folder = tmp_path / str(number)
        with session.library(model.backend):
            training_set = write_training_set(model.task, data, folder)
            config = resolve(model, recipe, training_set, folder)
    assert config.model.bbox_head.num_classes == 2
    crops = [step for step in config.train_dataloader.dataset.pipeline if "crop_size" in step]
    assert [step.crop_size for step in crops] == [(1024, 1024)]
