"""The files that competitions take."""
