"""The report on an ensemble as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping

from recycling.reporting.pages import render_page
from recycling.reporting.panels import PANELS


def report_page(title: str, values: Mapping[str, object]) -> str:
    """The report on an ensemble: every panel whose values are there, in order.

    Args:
        title: What was fused, like ``Detection: final``.
        values: What is known of the ensemble, by name; a value that is None is not known, and one
            that no panel takes is left out. The panels of this package take

            - `out_of_fold`: whether the ensemble is explained by out-of-fold predictions, or else
              by the test images;
            - `metrics`: the ensemble's metrics there; their score is NaN where no truth is known;
            - `test_metrics`, `test_members`: those on the test images, and of the members by name;
            - `interval`: `low` and `high`, between which its score lies by the bootstrap over
              groups of images; empty where no truth is known;
            - `same_as`: the name of another ensemble that is the same, whose page shows the rest;
            - `members`: the metrics of each member, by name;
            - `weights`: how much each member counts, by name;
            - `objects`: what the members agree on, in the plural: ``boxes``;
            - `contributions`, `agreement`, `error_correlation`, `class_gains`, `score_thresholds`,
              `precision_thresholds`, `leaderboard`: what `recycling.diagnostics` found;
            - `changes`: an image, (H, W, 3) RGB, of what the ensemble changed;
            - `confusion`: what is taken for what; schema `recycling.diagnostics.DISAGREEMENT`, the
              truth first;
            - `mistakes`, `overlays`: images of where it is most wrong, and of others;
            - `choices`, `search_history`: the ways of choosing, and every trial of the search;
              schemas `recycling.ensembling.CHOICES` and `HISTORY`.

    Returns:
        A page of HTML in UTF-8 that loads nothing: figures are in it as SVG, images as WebP.

    >>> from recycling.evaluation import Metrics
    >>> page = report_page("Detection: final", {"metrics": Metrics("mAP50", 0.5, {}, {})})
    >>> "<p>mAP50 <strong>0.5000</strong> on the test images.</p>" in page
    True
    """
    known = {name: value for name, value in values.items() if value is not None}
    panels = sorted((entry.thing for entry in PANELS.values()), key=lambda panel: panel.order)
    filled = [(panel.heading, pieces) for panel in panels if (pieces := panel.pieces(known))]
    return render_page(title, filled)
