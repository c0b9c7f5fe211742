"""Which sources pytest looks through for examples, and how it imports them."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

if find_spec("detectron2") is None:
    # They import it at their top, and are imported only where it is there.
    collect_ignore_glob = [
        f"recycling/backends/detectron2_backend/{name}.py"
        for name in ("samples", "trainer", "views")
    ]


def pytest_collect_file(file_path: Path) -> None:
    """Import a source by its name before pytest does by its path.

    pytest imports the package of a file first, and then the file, even where the package has
    imported it. Its registries would be there twice, those of the second module empty.
    """
    if file_path.suffix == ".py" and file_path.name not in ("conftest.py", "__main__.py"):
        parts = file_path.relative_to(Path(__file__).parent).with_suffix("").parts
        import_module(".".join(parts).removesuffix(".__init__"))
