"""What the tests of submissions share: three images, two categories, and files of them."""

import pandas as pd

from recycling.predictions import DETECTIONS, to_submission

IMAGES = pd.DataFrame(
    {"image_id": [4, 2, 9], "file_name": ["test/0000.jpg", "test/0001.jpg", "test/0002.jpg"]}
).astype({"file_name": "string"})
CATEGORIES = pd.DataFrame({"category_id": [7, 3], "name": ["Paper", "Metal"]})


def detections(*rows):
    return DETECTIONS.conform(pd.DataFrame(list(rows), columns=DETECTIONS.names), where="test")


def write(settings, predictions, path, images=IMAGES, categories=CATEGORIES):
    to_submission(settings, predictions, images, categories).to_csv(path, index=False)


def file_of(folder, *lines, header, name="team.csv"):
    """A CSV file of the given lines."""
    path = folder / name
    path.write_bytes("\n".join([header, *lines, ""]).encode())
    return path
