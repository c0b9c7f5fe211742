"""Networks that the libraries do not have, or not in the form that is needed."""
