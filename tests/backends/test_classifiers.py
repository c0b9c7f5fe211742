"""Several heads, several backbones: shapes, numbers, and what they learn."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog
from PIL import Image

from recycling.annotations import Cleaning, ImageCache, ImageFolder
from recycling.backends import BackendError, Model, Recipes, RunFolder

torch = pytest.importorskip("torch")
pytest.importorskip("mmpretrain")

MODULES = "recycling.backends.mmengine_backend.networks.classifiers"
ANY_SIZE = f"{MODULES}.beit.BEiTAnySize"
RECIPES = Path(__file__).parents[2] / "conf/recipes"

VALUES = {"mask": ["worn", "wrong", "none"], "gender": ["female", "male"]}
CLASSES = ["/".join(values) for values in product(*VALUES.values())]
HEADS = [{"name": name, "size": len(values)} for name, values in VALUES.items()]


def head(**settings: Any) -> Any:
    from recycling.backends.mmengine_backend.networks.classifiers.multi_attribute_head import (
        MultiAttributeHead,
    )

    torch.manual_seed(0)
    made = MultiAttributeHead(
        **{"in_channels": 4, "num_classes": 6, "heads": HEADS, "class_names": CLASSES, **settings}
    )
    for layer in made.layers:
        torch.nn.init.normal_(layer.weight)
    return made.eval()


def features(n: int = 5, channels: int = 4) -> tuple[Any]:
    return (torch.randn(n, channels, generator=torch.Generator().manual_seed(1)),)


def labelled(labels: list[int]) -> list[Any]:
    from mmpretrain.structures import DataSample

    return [DataSample().set_gt_label(label) for label in labels]


# Several heads ----------------------------------------------------------------------------------


def test_a_class_is_as_likely_as_its_values_together():
    heads = head()
    mask, gender = (score.softmax(dim=1).tolist() for score in heads.scores(features()))
    found = heads(features()).softmax(dim=1)
    assert found.shape == (5, 6)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5))
    for row in range(5):
        expected = [one * other for one, other in product(mask[row], gender[row])]
        np.testing.assert_allclose(found[row].tolist(), expected, rtol=1e-5)


def test_a_layer_a_head_is_all_that_there_is_to_learn():
    assert sum(one.numel() for one in head().parameters()) == (4 + 1) * (3 + 2)
    assert set(head().state_dict()) == {
        f"layers.{number}.{part}" for number in (0, 1) for part in ("weight", "bias")
    }


def test_values_are_read_from_the_names_of_classes_in_any_order():
    order = [3, 0, 5, 1, 4, 2]
    shuffled = [CLASSES[number] for number in order]
    # The first class's values are the heads' first ones.
    heads = head(class_names=shuffled)
    mask, gender = (score.softmax(dim=1) for score in heads.scores(features()))
    found = heads(features()).softmax(dim=1)
    masks, genders = ["wrong", "worn", "none"], ["male", "female"]
    for number, name in enumerate(shuffled):
        one, other = name.split("/")
        expected = mask[:, masks.index(one)] * gender[:, genders.index(other)]
        torch.testing.assert_close(found[:, number], expected)


def test_classes_without_such_names_are_all_combinations_in_order():
    numbered = head(class_names=[str(number) for number in range(6)])
    torch.testing.assert_close(numbered(features()), head()(features()))


def test_where_some_combinations_are_no_class_the_others_share_all():
    heads = head(num_classes=5, class_names=CLASSES[:5])
    found = heads(features()).softmax(dim=1)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5))
    whole = head()(features()).softmax(dim=1)[:, :5]
    torch.testing.assert_close(found, whole / whole.sum(dim=1, keepdim=True))


def test_losses_are_summed_with_their_weights():
    heads = head(heads=[{**HEADS[0], "weight": 2.0}, {**HEADS[1], "weight": 0.5}])
    labels = [0, 1, 2, 3, 5]
    losses = heads.loss(features(), labelled(labels))
    mask, gender = heads.scores(features())
    cross_entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(
        losses,
        {
            "loss_mask": 2.0 * cross_entropy(mask, torch.tensor([label // 2 for label in labels])),
            "loss_gender": 0.5 * cross_entropy(gender, torch.tensor([one % 2 for one in labels])),
        },
    )


def test_with_weights_of_one_the_losses_are_the_joint_classes_likelihood():
    labels = [0, 1, 2, 3, 5]
    found = sum(head().loss(features(), labelled(labels)).values())
    logs = head()(features()).log_softmax(dim=1)
    torch.testing.assert_close(found, -logs[range(5), labels].mean())


def test_each_head_may_have_a_loss_of_its_own():
    smooth = {"type": "LabelSmoothLoss", "label_smooth_val": 0.2, "num_classes": 6}
    heads = head(heads=[{**HEADS[0], "loss": smooth}, HEADS[1]])
    losses = heads.loss(features(2), labelled([0, 3]))
    target = torch.full((2, 3), 0.2 / 3)
    target[0, 0] = target[1, 1] = 0.8 + 0.2 / 3
    expected = -(target * heads.scores(features(2))[0].log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(losses["loss_mask"], expected)
    torch.testing.assert_close(
        losses["loss_gender"], head().loss(features(2), labelled([0, 3]))["loss_gender"]
    )


def test_a_mixed_picture_counts_for_each_head_by_its_shares():
    from mmpretrain.structures import DataSample

    # 70 % worn/male and 30 % wrong/male: one gender, two masks.
    mixed = [DataSample().set_gt_score(torch.tensor([0, 0.7, 0, 0.3, 0, 0]))]
    found = head().loss(features(1), mixed)
    first, second = (head().loss(features(1), labelled([label])) for label in (1, 3))
    for name in ("loss_mask", "loss_gender"):
        torch.testing.assert_close(found[name], 0.7 * first[name] + 0.3 * second[name])


def test_accuracy_is_that_of_the_classes():
    heads = head(cal_acc=True)
    best = heads(features()).argmax(dim=1).tolist()
    other = [(label + 1) % 6 for label in best]
    found = heads.loss(features(), labelled([*best[:3], *other[3:]]))
    assert float(found["accuracy_top-1"][0]) == pytest.approx(60)


def test_a_head_can_look_at_the_features_of_its_own_backbone_only():
    heads = head(in_channels=[3, 1])
    (given,) = features()
    given.requires_grad_()
    mask, gender = heads.scores((given,))
    (of_mask,) = torch.autograd.grad(mask.sum(), given, retain_graph=True)
    (of_gender,) = torch.autograd.grad(gender.sum(), given)
    assert (of_mask[:, :3] != 0).all()
    assert (of_mask[:, 3:] == 0).all()
    assert (of_gender[:, :3] == 0).all()
    assert (of_gender[:, 3:] != 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"num_classes": 7, "class_names": None},
            r"model.head.heads: 7 classes, but the heads \(mask 3, gender 2\) make 6; correct",
        ),
        (
            {"class_names": [*CLASSES[:5], "worn"]},
            "class 'worn' should be named after 2 values, mask/gender",
        ),
        (
            {"heads": [{"name": "mask", "size": 2}, HEADS[1]]},
            "mask has size 2, but the classes' names hold 3 values of it: worn, wrong, none",
        ),
        ({"in_channels": [4]}, "model.head.in_channels: 1 numbers for 2 heads"),
    ],
)
def test_heads_that_do_not_fit_the_classes_are_an_error_of_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        head(**settings)
    assert "\n" not in str(error.value)


# Backbones --------------------------------------------------------------------------------------


def built(config: dict[str, Any]) -> Any:
    from mmengine.registry import MODELS

    from recycling.backends.mmengine_backend import session

    with session.library("mmpretrain"), session.silence():
        torch.manual_seed(0)
        network = MODELS.build(config)
        network.init_weights()
    network.eval()
    return network


def test_backbones_side_by_side_give_the_features_of_each():
    parts = [
        {
            "type": "ResNet",
            "depth": 18,
            "base_channels": 8,
            "stem_channels": 8,
            "out_indices": (3,),
        },
        {"type": "ShuffleNetV2", "widen_factor": 0.5},
    ]
    both = built({"type": f"{MODULES}.concatenated.ConcatenatedBackbones", "backbones": parts})
    pictures = torch.randn(2, 3, 40, 56)
    with torch.no_grad():
        (found,) = both(pictures)
        first, second = (one(pictures)[-1] for one in both.backbones)
    assert found.shape == (2, 64 + 1024)
    torch.testing.assert_close(found[:, :64], first.mean(dim=(2, 3)))
    torch.testing.assert_close(found[:, 64:], second.mean(dim=(2, 3)))
    n_parameters = [sum(one.numel() for one in built(part).parameters()) for part in parts]
    assert sum(one.numel() for one in both.parameters()) == sum(n_parameters)


@pytest.mark.parametrize(
    ("architecture", "attribute", "shape"),
    [("squeezenet1_1", "features", (2, 512, 3, 4)), ("mnasnet1_0", "layers", (2, 1280, 2, 3))],
)
def test_torchvision_s_convolutions_are_a_backbone(architecture, attribute, shape):
    from torchvision.models import get_model

    torch.manual_seed(0)
    network = get_model(architecture)
    backbone = built(
        {
            "type": f"{MODULES}.torchvision_features.TorchvisionFeatures",
            "architecture": architecture,
            "features": attribute,
        }
    )
    backbone.load_state_dict(
        {name: one for name, one in network.state_dict().items() if name.startswith(attribute)}
    )
    pictures = torch.randn(2, 3, 64, 80)
    with torch.no_grad():
        (found,) = backbone(pictures)
        expected = getattr(network.eval(), attribute)(pictures)
    assert found.shape == shape
    torch.testing.assert_close(found, expected)


BEIT = {
    "arch": {"embed_dims": 16, "num_layers": 2, "num_heads": 2, "feedforward_channels": 32},
    "img_size": 64,
    "patch_size": 16,
    "use_abs_pos_emb": False,
    "use_rel_pos_bias": True,
    "use_shared_rel_pos_bias": False,
    "out_type": "avg_featmap",
}


def test_beit_for_any_size_is_the_library_s_where_that_works():
    theirs, ours = (built({"type": name, **BEIT}) for name in ("BEiTViT", ANY_SIZE))
    for weights in theirs.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    ours.load_state_dict(theirs.state_dict())
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(pictures)[-1], theirs(pictures)[-1])


@pytest.mark.parametrize("size", [(48, 48), (64, 96), (50, 70)])
def test_beit_takes_pictures_of_any_size_with_the_weights_of_one(size):
    network = built({"type": ANY_SIZE, **BEIT})
    with torch.no_grad():
        assert network(torch.randn(2, 3, *size))[-1].shape == (2, 16)


@pytest.mark.parametrize("grid", [(1, 1), (3, 3), (2, 5)])
def test_biases_are_those_that_the_library_looks_up(grid):
    from mmpretrain.models.utils import BEiTAttention

    from recycling.backends.mmengine_backend.networks.beit_attention import position_bias

    attention = BEiTAttention(4, 2, grid, use_rel_pos_bias=True)
    table = torch.randn(attention.relative_position_bias_table.shape)
    expected = table[attention.relative_position_index].permute(2, 0, 1)
    torch.testing.assert_close(position_bias(table, grid, grid), expected)


def test_biases_that_rise_with_the_distance_do_so_on_a_larger_grid():
    from recycling.backends.mmengine_backend.networks.beit_attention import position_bias

    down, right = np.mgrid[-2:3, -2:3]
    distances = torch.tensor((10 * down + right).ravel(), dtype=torch.float32)
    table = torch.cat((distances, torch.tensor([7.0, 8.0, 9.0])))[:, None]
    found = position_bias(table, (3, 3), (5, 5))[0]
    rows, columns = (torch.arange(25) // 5, torch.arange(25) % 5)
    # The largest distances, four patches instead of two, have the largest biases.
    expected = (10 * (rows[:, None] - rows) + columns[:, None] - columns) / 2
    torch.testing.assert_close(found[1:, 1:], expected, atol=1.1, rtol=0)
    torch.testing.assert_close(found[1, -1], torch.tensor(-22.0))
    torch.testing.assert_close(found.diagonal()[1:], torch.zeros(25))
    assert (found[0, 1], found[1, 0], found[0, 0]) == (7, 8, 9)


# From files to predictions ----------------------------------------------------------------------

CATALOG = """
train.raw_annotations:
  type: recycling.datasets.class_labels.ClassCsvDataset
  filepath: {folder}/train.csv
  images: images
  labels: [colour, place]
  group: person
train.images:
  type: recycling.datasets.ImageFolderDataset
  filepath: {folder}/images
"""

RECIPE = f"""
_base_ = "{RECIPES}/mmpretrain/resnet18_narrow.py"
model = dict(
    head=dict(
        type="{MODULES}.multi_attribute_head.MultiAttributeHead",
        heads=[dict(name="colour", size=3), dict(name="place", size=2)],
    )
)
augmentation = []
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """36 pictures of 40 x 32 pixels: red, green or blue, and bright at the top or the bottom."""
    rng = np.random.default_rng(0)
    rows = []
    (tmp_path / "images").mkdir()
    for number in range(36):
        colour, place = number % 3, number // 3 % 2
        pixels = rng.integers(0, 60, (32, 40, 3))
        pixels[16 * place : 16 * place + 16, :, colour] += 180
        name = f"{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / name)
        words = ("red", "green", "blue")[colour], ("top", "bottom")[place]
        rows.append(f"{name},{words[0]},{words[1]},person {number // 6}")
    (tmp_path / "train.csv").write_text("\n".join(["file_name,colour,place,person", *rows]))
    (tmp_path / "recipes/mmpretrain").mkdir(parents=True)
    (tmp_path / "recipes/mmpretrain/two_heads.py").write_text(RECIPE)
    return tmp_path


def model(**settings: Any) -> Model:
    return Model(
        **{
            "task": "cls",
            "backend": "mmpretrain",
            "recipe": "two_heads",
            "image_size": 32,
            "epochs": 12,
            "batch_size": 6,
            "optimizer": {"learning_rate": 0.004, "weight_decay": 0.05},
            **settings,
        }
    )


def test_labels_in_a_csv_are_cleaned_trained_on_with_a_head_a_column_and_predicted(project):
    from recycling.evaluation import ClassMetric
    from recycling.pipelines.data_cleaning import check_image_files, clean_annotations
    from recycling.pipelines.scoring import SCORE
    from recycling.pipelines.training import PREDICT, fold_selector, trainer

    catalog = DataCatalog.from_config(yaml.safe_load(CATALOG.format(folder=project)))
    raw, images = catalog.load("train.raw_annotations"), catalog.load("train.images")
    checks = check_image_files(raw, images, ImageCache(project / "cache.parquet"))
    annotations, audit = clean_annotations(raw, images, checks, Cleaning())
    assert len(annotations.annotations) == 36
    assert len(audit) == 0
    names = ["blue/bottom", "blue/top", "green/bottom", "green/top", "red/bottom", "red/top"]
    assert annotations.categories["name"].tolist() == names

    people = annotations.images["group"].map({f"person {one}": one // 3 for one in range(6)})
    folds = pd.DataFrame({"image_id": annotations.images["image_id"], "fold": people})
    learnt, held_out = fold_selector(0)(annotations, folds)
    metric = ClassMetric.model_validate({})
    train = trainer("cls", "cls.two_heads.fold0")
    checkpoint = train(
        model(),
        Recipes(project / "recipes"),
        RunFolder(project / "runs"),
        learnt,
        images,
        held_out,
        metric,
    )
    found = PREDICT["cls"](checkpoint, held_out, images)
    assert list(found.columns) == ["annotation_id", *names]
    np.testing.assert_allclose(found[names].sum(axis=1), 1, atol=1e-5)
    assert SCORE["cls"](held_out, found, metric).score > 0.9


def test_heads_that_do_not_fit_the_data_stop_the_training_before_its_first_step(project):
    from recycling.annotations import LabeledImages
    from recycling.annotations.formats.class_labels import read_class_csv
    from recycling.backends import TrainingData, backend_for

    recipe = project / "recipes/mmpretrain/two_heads.py"
    recipe.write_text(RECIPE.replace("size=3", "size=4"))
    images = ImageFolder(project / "images")
    annotations = read_class_csv(project / "train.csv", images, labels=["colour", "place"])
    part = LabeledImages(annotations, images)
    data = TrainingData([part], part, annotations.categories)
    with pytest.raises(BackendError, match=r"model\.head\.heads") as error:
        backend_for("mmpretrain").train(model(), recipe, data, project / "run")
    assert "\n" not in str(error.value)
    assert not list((project / "run").rglob("*.pth"))


AS_OPTIONS = {
    "model.head.type": f"{MODULES}.multi_attribute_head.MultiAttributeHead",
    "model.head.heads": [{"name": "colour", "size": 3}, {"name": "place", "size": 2}],
}


@pytest.mark.parametrize(
    ("recipe", "options"), [("two_heads", {}), ("resnet18_narrow", AS_OPTIONS)]
)
def test_heads_of_a_recipe_or_of_options_know_the_names_of_the_classes(project, recipe, options):
    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import TrainingSet
    from recycling.backends.mmengine_backend.resolve import resolve
    from recycling.backends.mmengine_backend.settings.class_names import set_class_names

    names = ["blue/top", "red/top", "green/top", "green/bottom", "blue/bottom", "red/bottom"]
    data = TrainingSet(project / "train.json", names, n_samples=6, sha256="")
    folder = project / "recipes" if recipe == "two_heads" else RECIPES
    with session.library("mmpretrain"):
        settings = model(options=options)
        path = Recipes(folder).find("mmpretrain", recipe)
        config = resolve(settings, path, data, project / "run")
        set_class_names(config, data, "own")
    found = built(config.model.to_dict()).head.values.tolist()
    assert found == [[0, 0], [1, 0], [2, 0], [2, 1], [0, 1], [1, 1]]
