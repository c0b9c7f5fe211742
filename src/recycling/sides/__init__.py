"""What is compared: models, ensembles and files, of now or of a run."""

from recycling.sides.core import OUT_OF_FOLD, TEST, Part, Side
from recycling.sides.differences import chosen_epoch, what_differs
from recycling.sides.images import common_images, only_on, shared_part
from recycling.sides.pictures import draw_changes
from recycling.sides.scoring import Scored, check_alike, score, sentences
from recycling.sides.workplace import Workplace

__all__ = [
    "OUT_OF_FOLD",
    "TEST",
    "Part",
    "Scored",
    "Side",
    "Workplace",
    "check_alike",
    "chosen_epoch",
    "common_images",
    "draw_changes",
    "only_on",
    "score",
    "sentences",
    "shared_part",
    "what_differs",
]
