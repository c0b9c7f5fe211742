"""Which sources pytest looks through for examples."""

from importlib.util import find_spec

if find_spec("detectron2") is None:
    # They import it at their top, and are imported only where it is there.
    collect_ignore_glob = [
        f"recycling/backends/detectron2_backend/{name}.py"
        for name in ("samples", "tracking", "trainer", "views")
    ]
