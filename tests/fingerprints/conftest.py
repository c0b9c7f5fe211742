"""The small project after a first run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerprints.small_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """After a first run."""
    project = Project(tmp_path)
    assert len(project.run()) == 7
    return project
