"""Recognising waste in photographs: from annotated images to ensembled predictions."""

import os

__version__ = "0.1.0"

# OpenMP's threads wait for one another in a loop: beside other work a training takes nine times as
# long. Asleep they cost a few percent. It is read when torch loads, in each process that it starts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
