"""What Kedro-Viz shows of a node before anything has run: settings of a model, who is fused."""

from __future__ import annotations

from collections.abc import Callable

import yaml
from kedro.pipeline.preview_contract import MermaidPreview, TextPreview

from recycling.backends import Model
from recycling.plan import EnsemblePlan


def settings_preview(model: Model) -> Callable[[], TextPreview]:
    """The settings of a model that are not at their defaults, as `models.yml` has them."""

    def preview() -> TextPreview:
        own = model.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(own, sort_keys=False, default_flow_style=False)
        return TextPreview(text, meta={"language": "yaml"})

    return preview


def members_preview(ensemble: EnsemblePlan) -> Callable[[], MermaidPreview]:
    """Who is fused, and what comes of it, as a picture.

    >>> print(members_preview(EnsemblePlan("det", "final", (), "params:x"))().content)
    flowchart TD
      final(["final"])
    """

    def preview() -> MermaidPreview:
        lines = ["flowchart TD", f'  {ensemble.name}(["{ensemble.name}"])']
        for number, member in enumerate(ensemble.members):
            lines.append(f'  m{number}["{member.name}"] --> {ensemble.name}')
        return MermaidPreview("\n".join(lines))

    return preview
