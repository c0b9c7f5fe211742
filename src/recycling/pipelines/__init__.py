"""The seven pipelines: wiring between the catalog and the domain packages."""

import warnings

# The dots in dataset names are those of the namespaces that Kedro asks for; it warns all the same
# where a node of no namespace takes or gives a dataset that has one.
warnings.filterwarnings("ignore", message=r"(?s).*dataset names contain '\.' characters")
