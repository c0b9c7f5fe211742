"""`models.yml`: a plan, or a line that a user is told."""

from __future__ import annotations

from fuzz.core import Target
from fuzz.mutations import mutated
from fuzz.sample_files import ROOT, folder
from recycling.cli.core import message_for_user
from recycling.configuration import ConfigLoader
from recycling.plan import Plan, read_plan


def target() -> Target:
    conf = folder() / "conf"
    for env in ("base", "local"):
        (conf / env).mkdir(parents=True)
    path = conf / "base/models.yml"
    right = (ROOT / "conf/base/models.yml").read_bytes()
    small = b"""models:
  yolox: &a
    task: det
    backend: mmdet
    recipe: yolox_narrow
    image_size: 64
    epochs: 2
    batch_size: 4
    seeds: [1, 2]
    optimizer: {name: SGD, learning_rate: 0.1}
    schedule: {name: cosine, warmup: 0.05}
    augmentation: [{HorizontalFlip: {p: 0.5}}]
ensembles:
  final: {members: [yolox], weights: [1]}
"""

    def read(content: bytes) -> None:
        path.write_bytes(content)
        loader = ConfigLoader(
            str(conf),
            base_env="base",
            default_run_env="local",
            config_patterns={"parameters": ["models*"]},
        )
        plan = read_plan(loader["parameters"], "models.yml")
        assert isinstance(plan, Plan)

    return Target("models_yml", mutated([small, small, right]), read, message_for_user)
