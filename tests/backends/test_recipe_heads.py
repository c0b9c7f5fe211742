"""What the head of each recipe says is so: its size, its official weights, who asked for it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlparse

import pytest

from backends.on_meta import on_meta
from backends.tiny_trainings import words_for
from recycling.backends import BackendError, Model, Recipes
from recycling.backends.shared.recipes import N_CLASSES, RecipeFacts, list_recipes, read_head

pytestmark = pytest.mark.usefixtures("index_read_once")

RECIPES = Recipes(Path(__file__).parents[2] / "conf/recipes")

HEAD = """\
# U-Net (Ronneberger et al., 2015): an encoder
# and a decoder.
# Reports: A, B
# Parameters: 29,061,846
# Weights: mmassets.onedl.ai unet.pth, github.com other.pth
_base_ = "mmseg::unet.py"
# Reports: C
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "unet.py"
    path.write_text(text)
    return path


def test_the_comment_that_a_recipe_begins_with_says_all_about_it(tmp_path):
    path = written(tmp_path, HEAD)
    assert read_head(path, "seg", "mmseg") == RecipeFacts(
        path,
        "seg",
        "mmseg",
        "U-Net (Ronneberger et al., 2015): an encoder and a decoder.",
        ("A", "B"),
        29_061_846,
        ("mmassets.onedl.ai unet.pth", "github.com other.pth"),
        (),
    )


def test_none_is_known_and_a_missing_line_is_not(tmp_path):
    facts = read_head(written(tmp_path, "# Reports: none\n# Weights: none\n"), "seg", "mmseg")
    assert (facts.reports, facts.weights, facts.parameters) == ((), (), None)
    facts = read_head(written(tmp_path, "model = dict()\n"), "seg", "mmseg")
    assert (facts.reports, facts.weights, facts.parameters) == (None, None, None)


def test_what_those_did_who_published_the_weights_is_known(tmp_path):
    lines = "# Score: 44.5 box AP\n# Training: AdamW, 300 epochs\n# Licence: Apache-2.0\n"
    facts = read_head(written(tmp_path, lines), "det", "mmdet")
    assert facts.about == ""
    assert (facts.score, facts.training, facts.licence) == (
        "44.5 box AP", "AdamW, 300 epochs", "Apache-2.0",
    )  # fmt: skip


def test_libraries_that_a_recipe_needs_besides_are_known(tmp_path):
    text = "# A network. Needs effdet (Apache-2.0) and nothing else. Needs mmdet.\n"
    assert read_head(written(tmp_path, text), "det", "mmdet").needs == ("effdet", "mmdet")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# Parameters: 12 M\n", "'# Parameters: 12 M' is not a number"),
        ("# Parameters: 1234\n", "is not a number such as"),
        ("# Reports: A\n# Reports: B\n", "line 2: a second '# Reports:'; remove one"),
        ("# Weights: a.org x.pth,\n", "lacks an entry"),
        ("# Weights:\n", "lacks an entry"),
    ],
)
def test_a_line_that_makes_no_sense_is_an_error_of_one_line(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(BackendError) as error:
        read_head(path, "seg", "mmseg")
    assert words in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_recipes_are_listed_by_task_library_and_name(tmp_path):
    for name in ("mmseg/b.py", "mmseg/a.py", "detectron2/c.yaml", "mmdet/d.py", "mmdet/_no.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (tmp_path / "mmseg/__pycache__").mkdir()
    found = [(facts.task, facts.backend, facts.name) for facts in list_recipes(Recipes(tmp_path))]
    assert found == [
        ("det", "mmdet", "d"),
        ("det", "detectron2", "c"),
        ("seg", "mmseg", "a"),
        ("seg", "mmseg", "b"),
    ]
    assert [facts.name for facts in list_recipes(Recipes(tmp_path), "seg")] == ["a", "b"]


def test_folders_without_recipes_or_of_no_library_are_named(tmp_path):
    with pytest.raises(BackendError, match="no recipes; they lie in a folder for each library"):
        list_recipes(Recipes(tmp_path / "nowhere"))
    (tmp_path / "darknet").mkdir()
    with pytest.raises(BackendError, match=r"darknet: no library of that name trains; known are"):
        list_recipes(Recipes(tmp_path))


# The project's own ------------------------------------------------------------------------------

OURS = [pytest.param(one, id=f"{one.backend}-{one.name}") for one in list_recipes(RECIPES)]


@pytest.mark.parametrize("recipe", OURS)
def test_each_recipe_has_a_whole_head(recipe):
    assert recipe.about.endswith(".")
    assert recipe.parameters is not None
    assert recipe.weights is not None
    assert recipe.reports is not None
    assert set(recipe.reports) <= set("ABCDE")
    published = (recipe.score, recipe.training, recipe.licence)
    assert published == (None, None, None) or all(published)


def test_recipes_are_listed_without_any_library():
    code = (
        "import sys; from pathlib import Path\n"
        "from recycling.backends import Recipes\n"
        "from recycling.backends.shared.recipes import list_recipes\n"
        f"assert list_recipes(Recipes(Path({str(RECIPES.folder)!r})))\n"
        "assert not {'torch', 'mmengine', 'mmdet', 'detectron2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", OURS)
def test_the_head_says_what_the_network_is(recipe):
    for library in (recipe.backend, *recipe.needs):
        pytest.importorskip(library)
    found = _of_detectron2(recipe) if recipe.backend == "detectron2" else _of_mmengine(recipe)
    parameters, sources = found
    weights = ", ".join(f"{_host(url)} {Path(urlparse(url).path).name}" for url in sources)
    said = f"# Parameters: {recipe.parameters:,}\n# Weights: {', '.join(recipe.weights) or 'none'}"
    assert said == f"# Parameters: {parameters:,}\n# Weights: {weights or 'none'}"


def _host(url: str) -> str:
    return urlparse(url).netloc


def _model(recipe: RecipeFacts) -> Model:
    return Model(
        task=recipe.task,
        backend=recipe.backend,
        recipe=recipe.name,
        image_size=128,
        epochs=1,
        batch_size=1,
        optimizer={"learning_rate": 1e-4},
        options=words_for(recipe.name),
    )


def _of_mmengine(recipe: RecipeFacts) -> tuple[int, list[str]]:
    """How many parameters a network has, and the URLs of its official weights."""
    from mmengine.config import Config
    from mmengine.registry import MODELS
    from mmengine.runner.checkpoint import get_external_models, get_torchvision_models

    from recycling.backends.mmengine_backend import session
    from recycling.backends.mmengine_backend.data.training_set import TrainingSet
    from recycling.backends.mmengine_backend.pretrained import official_weights, url_of_timm
    from recycling.backends.mmengine_backend.resolve import resolve

    classes = [str(number) for number in range(N_CLASSES[recipe.task])]
    data = TrainingSet(Path("train.json"), classes, n_samples=1, sha256="")
    with session.library(recipe.backend):
        config = resolve(_model(recipe), recipe.path, data, Path("run"))
        # Ultralytics computes with a network in order to make it.
        nowhere = nullcontext() if "ultralytics" in recipe.needs else on_meta()
        with session.silence(), nowhere:
            network = MODELS.build(config.model)
        base = Config.fromfile(str(recipe.path), import_custom_modules=False)
        names = official_weights(base.to_dict())
    schemes = {"open-mmlab": get_external_models, "torchvision": get_torchvision_models}
    urls = []
    for name in names:
        scheme, _, rest = name.partition("://")
        if scheme == "timm":
            urls.append(url_of_timm(rest))
        else:
            urls.append(schemes[scheme]()[rest] if scheme in schemes else name)
    return sum(weights.numel() for weights in network.parameters()), urls


def _of_detectron2(recipe: RecipeFacts) -> tuple[int, list[str]]:
    from detectron2.config import CfgNode
    from detectron2.modeling import build_model
    from detectron2.utils.file_io import PathManager

    from recycling.backends.detectron2_backend.resolve import resolve

    model = _model(recipe)
    config: CfgNode = resolve(model, recipe.path, N_CLASSES[recipe.task])
    config.MODEL.DEVICE = "cpu"
    parameters = sum(weights.numel() for weights in build_model(config).parameters())
    official = model.model_copy(update={"pretrained": "default"})
    if not recipe.weights:
        with pytest.raises(BackendError, match=r"names no MODEL\.WEIGHTS"):
            resolve(official, recipe.path, N_CLASSES[recipe.task])
        return parameters, []
    name = str(resolve(official, recipe.path, N_CLASSES[recipe.task]).MODEL.WEIGHTS)
    prefix = "detectron2://"
    if name.startswith(prefix):
        handler = PathManager._path_handlers[prefix]
        name = handler.S3_DETECTRON2_PREFIX + name.removeprefix(prefix)
    return parameters, [name]


# Recipes that change one thing of another -------------------------------------------------------


def test_whether_a_recipe_starts_from_the_weights_of_its_base_is_known(tmp_path):
    def starts_as_base(weights: str, of_base: str) -> bool | None:
        (tmp_path / "base.py").write_text(of_base)
        path = tmp_path / "dconv.py"
        path.write_text(f"# Base: base\n{weights}")
        return read_head(path, "det", "mmdet").starts_as_base

    here = "# Weights: a.org coco.pth\n"
    assert starts_as_base(here, here) is True
    assert starts_as_base("# Weights: a.org imagenet.pth\n", here) is False
    assert starts_as_base("# Weights: none\n", here) is False
    assert starts_as_base("", here) is None
    assert read_head(tmp_path / "base.py", "det", "mmdet").starts_as_base is None


def test_a_base_that_is_not_there_is_named(tmp_path):
    path = written(tmp_path, "# Base: nowhere\n# Weights: none\n")
    with pytest.raises(BackendError, match=r"nowhere\.py: cannot be read: No such file"):
        _ = read_head(path, "seg", "mmseg").starts_as_base


def test_deformable_tood_starts_from_the_weights_of_tood():
    (dconv,) = [one for one in list_recipes(RECIPES, "det") if one.name == "tood_x101_dconv"]
    assert (dconv.base, dconv.starts_as_base) == ("tood_x101", True)
