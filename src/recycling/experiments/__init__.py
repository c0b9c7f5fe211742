"""Runs and what may be said of them: manifests, what differs, whether it is more than chance."""

from recycling.experiments.comparison import COMPARISONS, Compared, Comparisons, compare_scores
from recycling.experiments.differences import (
    Difference,
    Facts,
    differences,
    facts_of,
    in_lines,
    verdict_on,
)
from recycling.experiments.effect import Effect, corrected_sentences, holm, measure_effect
from recycling.experiments.keeping import Experiments, checkpoints_to_remove
from recycling.experiments.listing import (
    as_records,
    best_checkpoint,
    by_chain,
    chosen_rows,
    models_table,
    runs_table,
    scored_things,
    shown_table,
)
from recycling.experiments.manifest import (
    ExperimentError,
    Manifest,
    ManifestFolder,
    NodeRun,
    Runs,
    flat,
    unlock,
)
from recycling.experiments.scores import scores_with_intervals
from recycling.experiments.study import (
    STUDY_ARMS,
    ArmFacts,
    Noise,
    StudyArms,
    StudySummary,
    arms_table,
    interaction,
    noise_sentence,
    summarise_study,
)
from recycling.experiments.tuning import (
    TRIALS,
    Range,
    Trials,
    Tuning,
    best_first,
    halves,
    importance,
    open_study,
    prepare,
    setting_of,
    sweep_config,
    trials_table,
    try_base,
    work,
)
from recycling.tables import register_table

__all__ = [
    "COMPARISONS",
    "STUDY_ARMS",
    "TRIALS",
    "ArmFacts",
    "Compared",
    "Comparisons",
    "Difference",
    "Effect",
    "ExperimentError",
    "Experiments",
    "Facts",
    "Manifest",
    "ManifestFolder",
    "NodeRun",
    "Noise",
    "Range",
    "Runs",
    "StudyArms",
    "StudySummary",
    "Trials",
    "Tuning",
    "arms_table",
    "as_records",
    "best_checkpoint",
    "best_first",
    "by_chain",
    "checkpoints_to_remove",
    "chosen_rows",
    "compare_scores",
    "corrected_sentences",
    "differences",
    "facts_of",
    "flat",
    "halves",
    "holm",
    "importance",
    "in_lines",
    "interaction",
    "measure_effect",
    "models_table",
    "noise_sentence",
    "open_study",
    "prepare",
    "runs_table",
    "scored_things",
    "scores_with_intervals",
    "setting_of",
    "shown_table",
    "summarise_study",
    "sweep_config",
    "trials_table",
    "try_base",
    "unlock",
    "verdict_on",
    "work",
]

register_table("comparisons", COMPARISONS, Comparisons)
register_table("trials", TRIALS, Trials)
register_table("study_arms", STUDY_ARMS, StudyArms)
