"""A checkpoint's config is data: what it names is built where it is a network, and never run."""

from __future__ import annotations

import ast
import datetime
import importlib.util
import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.tiny_trainings import RECIPES, images_of, train
from recycling.annotations import LabeledImages
from recycling.backends import BackendError, Checkpoint, backend_for
from recycling.backends.mmengine_backend import session
from recycling.backends.mmengine_backend.config_file import (
    CONFIG,
    EVALUATING,
    only_networks,
    read_config,
    text_of,
)
from recycling.backends.shared.checkpoint_folder import FACTS, FORMAT, read_facts
from recycling.limits import LARGEST_FACTS
from test_nothing_is_run import imported_names

RUNNING = re.compile(
    r"(builtins\.)?(eval|exec|compile|__import__)|(.*\.)?(import_module|from_pretrained|Popen)|"
    r"(.*\.)?(create_model|instantiate_from_config|build_dataloader)|os\.(system|popen)|"
    r"(pickle|yaml)\.loads?|subprocess\..*|getattr\((?!self)\w+, (?!['\"]).*"
)
"""Calls that run what they are given, or code that they fetch, or look up a name in a module."""

EXPLAINED = {
    # `SUPPRESSIONS` are what it evaluates.
    "mmcv.ops.nms",
    # An operator of mmcv, or none.
    "mmdet.models.roi_heads.roi_extractors.base_roi_extractor",
    # What no network calls: hooks, videos, what a library says of the machine, its own modules.
    "mmcv.cnn.rfsearch.search",
    "mmcv.image.colorspace",
    "mmcv.utils.env",
    "mmcv.utils.ext_loader",
    "mmcv.video.processing",
    # `only_networks` has these read no config, pickle or YAML file, and import nothing.
    "mmengine.config.config",
    "mmengine.config.lazy",
    "mmengine.fileio.handlers.pickle_handler",
    "mmengine.fileio.handlers.yaml_handler",
    "mmengine.registry.registry",
    "mmengine.runner.checkpoint",
    "mmengine.utils.misc",
    # Parts of a runner, which nothing is predicted by.
    "mmengine.dataset.base_dataset",
    "mmengine.dist.dist",
    "mmengine.dist.utils",
    "mmengine.hub.hub",
    "mmengine.infer.infer",
    "mmengine.logging.logger",
    "mmengine.model.weight_init",
    "mmengine.model.wrappers.fully_sharded_distributed",
    "mmengine.optim.optimizer.amp_optimizer_wrapper",
    "mmengine.optim.optimizer.builder",
    "mmengine.runner._flexible_runner",
    "mmengine.runner.base_loop",
    "mmengine.runner.runner",
    "mmengine.utils.dl_utils.collect_env",
    "mmengine.utils.package_utils",
    "mmengine.utils.version_utils",
    "mmengine.visualization.vis_backend",
}
"""Modules of the libraries that do so, and that a config of a network does not reach."""

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text("abcdé", min_size=1)
CONFIGS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
        max_leaves=12,
    ),
)


@given(CONFIGS)
def test_a_config_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("config") / CONFIG
    config["test_pipeline"] = []
    path.write_text(text_of(config, "small"), encoding="utf-8")
    read = read_config(path).to_dict()
    assert read == config
    assert repr(read) == repr(config), "tuples stay tuples, whole numbers whole numbers"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model": {"act": print}}, "small: the config holds a builtin_function_or_method at mod"),
        ({"model": [{"since": datetime.date(2026, 1, 1)}]}, "holds a date at model.0.since, and"),
        ({"weights": {0: 1.0}}, "holds the key 0 at weights, and a checkpoint keeps data alone"),
        ({"__tuple__": [1]}, "holds the key '__tuple__' at its top, and"),
    ],
)
def test_what_is_no_data_is_refused_when_it_is_written(config: dict[Any, Any], said: str) -> None:
    with pytest.raises(BackendError) as caught:
        text_of(config, "small")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "1", '{"a": ' * 20_000, "\0", '"' + "a" * 9])
def test_a_file_that_is_no_config_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / CONFIG
    path.write_text(text)
    with pytest.raises(BackendError, match=r"config\.json: not a checkpoint's config; train the"):
        read_config(path)


def test_a_config_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / CONFIG
    path.write_text('{"test_pipeline": []}')
    read_config(path)
    with path.open("a") as file:
        file.write(" " * LARGEST_FACTS)
    with pytest.raises(BackendError, match=r"config\.json: not a checkpoint's config; train the"):
        read_config(path)


@pytest.fixture(scope="module")
def trained(pictures: LabeledImages, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    pytest.importorskip("mmpretrain")
    return train("mmpretrain", pictures, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def checkpoint(trained: Checkpoint, tmp_path: Path) -> Checkpoint:
    """A checkpoint from outside, which may be changed."""
    folder = tmp_path / "cls.small.fold0" / "checkpoint"
    shutil.copytree(trained.folder, folder)
    return Checkpoint(folder)


def change(checkpoint: Checkpoint, *keys: str | int, value: Any) -> None:
    path = checkpoint.folder / CONFIG
    config = json.loads(path.read_text())
    node = config
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(json.dumps(config))


def attacks(left: Path) -> dict[str, dict[str, Any]]:
    """Configs whose building would leave a file at `left`."""
    touch = ["touch", str(left)]
    return {
        "subprocess.Popen": {"type": "subprocess.Popen", "args": touch},
        "os.system": {"type": "os.system", "command": " ".join(touch)},
        "pathlib.Path.touch": {"type": "pathlib.Path.touch", "self": str(left)},
        "left_a_module.Net": {"type": "left_a_module.Net"},
        "left_a_module.registry": {"type": "Net", "_scope_": "left_a_module"},
    }


@pytest.mark.parametrize("name", attacks(Path()))
@pytest.mark.parametrize("part", ["backbone", "head"])
def test_what_a_config_names_is_not_run(
    name: str,
    part: str,
    checkpoint: Checkpoint,
    pictures: LabeledImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = tmp_path / "left"
    package = tmp_path / "beside" / "left_a_module"
    package.mkdir(parents=True)
    for module in ("__init__", "registry"):
        (package / f"{module}.py").write_text(f"open({str(left)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(package.parent))
    change(checkpoint, "model", part, value=attacks(left)[name])
    with pytest.raises(BackendError) as caught:
        backend_for("mmpretrain").predict(checkpoint, images_of(pictures))
    assert not left.exists()
    assert f"it names '{name}', and a checkpoint may name networks of packages in" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_steps_of_a_config_are_those_of_a_training(
    checkpoint: Checkpoint, pictures: LabeledImages, tmp_path: Path
) -> None:
    """The library's own step evaluates its ``dtype``."""
    left = tmp_path / "left"
    code = f"float32 if open({str(left)!r}, 'w').close() else torch.float32"
    change(checkpoint, "test_pipeline", 0, value={"type": "ConvertImageDtype", "dtype": code})
    with pytest.raises(BackendError, match=r"a step of its test_pipeline is 'ConvertImageDtype'; "):
        backend_for("mmpretrain").predict(checkpoint, images_of(pictures))
    assert not left.exists()


@pytest.mark.parametrize(
    "keys", [("nms",), ("rcnn", "nms"), ("nms_cfg",), ("dqs_cfg",)], ids=".".join
)
def test_what_suppresses_boxes_is_a_function_of_the_library(
    keys: tuple[str, ...], checkpoint: Checkpoint, pictures: LabeledImages, tmp_path: Path
) -> None:
    """mmcv evaluates its name when boxes are predicted."""
    import torch
    from mmcv.ops import batched_nms

    left = tmp_path / "left"
    own: dict[str, Any] = {
        "type": f"open({str(left)!r}, 'w').close() or nms",
        "iou_threshold": 0.6,
    }
    asked = own
    for key in reversed(keys):
        asked = {key: asked}
    change(checkpoint, "model", "test_cfg", value=asked)
    with pytest.raises(
        BackendError, match=r"config\.json: boxes are suppressed by .*; a"
    ) as caught:
        backend_for("mmpretrain").predict(checkpoint, images_of(pictures))
    assert "\n" not in str(caught.value)
    assert not left.exists()
    batched_nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), torch.zeros(1), own)
    assert left.exists(), "the library itself runs it"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weights.pkl", pickle.dumps([1.0, 2.0]), "a pickle"),
        ("weights.yaml", b"!!python/object/apply:list [[1.0, 2.0]]", "a YAML file"),
    ],
)
def test_what_a_loss_reads_from_a_file_is_not_run(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    """A loss of mmseg reads its ``class_weight`` from a file."""
    pytest.importorskip("mmseg")
    from mmseg.models.losses.utils import get_class_weight

    path = tmp_path / name
    path.write_bytes(content)
    assert get_class_weight(str(path)) == [1.0, 2.0], "the library itself runs it"
    refused = pytest.raises(BackendError, match=f"it names '{said}', and a checkpoint may")
    with refused, only_networks(tmp_path / CONFIG):
        get_class_weight(str(path))
    assert get_class_weight(str(path)) == [1.0, 2.0]


def test_no_weights_of_others_are_fetched_for_a_network(tmp_path: Path) -> None:
    """A distilled detector of mmdet loads those of its teacher when it is built."""
    pytest.importorskip("mmengine")
    import torch
    from mmengine.runner import load_checkpoint

    with only_networks(tmp_path / CONFIG), session.silence():
        load_checkpoint(torch.nn.Linear(1, 1), "http://127.0.0.1:9/teacher.pth")


def test_nothing_else_is_fetched_for_a_network(tmp_path: Path) -> None:
    """A loss of mmseg reads its ``class_weight`` from an address, too."""
    pytest.importorskip("mmseg")
    from mmseg.models.losses.utils import get_class_weight

    refused = pytest.raises(BackendError, match="it names 'an address', and a checkpoint may name")
    with refused, only_networks(tmp_path / CONFIG):
        get_class_weight("http://127.0.0.1:9/weights.json")


def test_a_config_that_a_config_names_is_not_run(tmp_path: Path) -> None:
    """A distilled detector of mmdet reads the config of its teacher."""
    pytest.importorskip("mmengine")
    from mmengine.config import Config

    left, teacher = tmp_path / "left", tmp_path / "teacher.py"
    teacher.write_text(f"open({str(left)!r}, 'w').close()\n")
    refused = pytest.raises(BackendError, match="it names 'a config of Python', and a checkpoint")
    with refused, only_networks(tmp_path / CONFIG):
        Config.fromfile(teacher)
    assert not left.exists()
    Config.fromfile(teacher)
    assert left.exists(), "the library itself runs it"


def test_what_of_the_libraries_evaluates_text_is_known() -> None:
    """With other versions of the libraries `EVALUATING` may have to be longer."""
    found = set()
    for library in ("mmcv", "mmengine", "mmpretrain/models", "mmdet/models", "mmseg/models"):
        package, *below = library.split("/")
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        for path in folder.joinpath(*below).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            modules = imported_names(tree)
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                if called == "getattr" and ast.unparse(node.args[0]) in {*modules, "module"}:
                    called = ast.unparse(node)
                if RUNNING.fullmatch(called):
                    found.add(".".join(path.relative_to(folder.parent).with_suffix("").parts))
    assert "mmdet.models.task_modules.tracking.camera_motion_compensation" in found
    assert {name for name in found if not name.startswith(EVALUATING)} <= EXPLAINED


def test_modules_that_a_config_asks_to_import_are_not(
    checkpoint: Checkpoint, pictures: LabeledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "left"
    (tmp_path / "leaves_a_file.py").write_text(f"open({str(left)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    change(checkpoint, "custom_imports", value={"imports": ["leaves_a_file"]})
    backend_for("mmpretrain").predict(checkpoint, images_of(pictures))
    assert not left.exists()


def test_a_config_that_is_code_is_refused_and_not_run(
    checkpoint: Checkpoint, pictures: LabeledImages, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    (checkpoint.folder / CONFIG).rename(checkpoint.folder / "config.py")
    (checkpoint.folder / "config.py").write_text(f"open({str(left)!r}, 'w').close()\n")
    facts = json.loads((checkpoint.folder / FACTS).read_text())
    (checkpoint.folder / FACTS).write_text(json.dumps({**facts, "format": 2}))
    with pytest.raises(BackendError) as caught:
        backend_for("mmpretrain").predict(checkpoint, images_of(pictures))
    assert not left.exists()
    assert str(caught.value) == (
        f"{checkpoint.folder}: a checkpoint of format 2, of another version of the project, which "
        f"reads format {FORMAT}; train the model again: kedro run --namespaces cls.small.fold0"
    )


def test_the_command_that_trains_again_names_the_model_of_a_stored_checkpoint(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    stored = tmp_path / "06_models" / "det" / "fcos" / "fold0" / "checkpoint"
    shutil.copytree(checkpoint.folder, stored)
    (stored / FACTS).write_text(json.dumps({"format": 1}))
    with pytest.raises(BackendError, match="kedro run --namespaces det.fcos.fold0$"):
        read_facts(Checkpoint(stored), CONFIG)


def test_what_a_checkpoint_says_is_not_read_where_it_would_fill_the_memory(
    checkpoint: Checkpoint,
) -> None:
    read_facts(checkpoint, CONFIG)
    with (checkpoint.folder / FACTS).open("a") as file:
        file.write(" " * LARGEST_FACTS)
    with pytest.raises(BackendError, match=r"checkpoint\.json: not a checkpoint's description"):
        read_facts(checkpoint, CONFIG)


def test_a_recipe_that_holds_more_than_data_is_refused_before_its_training(
    pictures: LabeledImages, tmp_path: Path
) -> None:
    recipe = tmp_path / "odd.py"
    recipe.write_text(RECIPES["mmpretrain"] + "model['head']['kept'] = {1, 2}\n")
    with pytest.raises(
        BackendError, match=r"run: the config holds a set at model\.head\.kept, and"
    ):
        train("mmpretrain", pictures, tmp_path, recipe=recipe)
    assert not (tmp_path / "run" / "checkpoint").exists()
