"""Kedro's settings of the project."""

import os
import warnings

from recycling.hooks import (
    ConsoleHooks,
    PlanHooks,
    PreflightHooks,
    SampleHooks,
    UpToDateHooks,
)

# Kedro 1.7 calls it by its old name, and so would warn in every command.
warnings.filterwarnings("ignore", message=r"(?s)\s*register_new_resolver")

HOOKS = (ConsoleHooks(), UpToDateHooks(), PreflightHooks(), SampleHooks(), PlanHooks())
"""Run last to first: read the plan, fall back to the shipped sample, check, find what is stale,
report."""

DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)


class ConfigurationError(ValueError):
    """The configuration asks for something that is not there: one line, what to set."""


def environment_variable(name: str) -> str:
    """The value of an environment variable, for `${env:NAME}` in the configuration.

    Raises:
        ConfigurationError: It is not set.

    Example:
        >>> environment_variable("PATH") == os.environ["PATH"]
        True
    """
    if not (value := os.environ.get(name)):
        raise ConfigurationError(
            f"the environment variable {name} is not set; set it to the folder of the data: "
            f"{name}=path/to/data kedro run ..."
        )
    return value


CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "custom_resolvers": {"env": environment_variable},
    "config_patterns": {
        "parameters": ["parameters*", "parameters*/**", "models*"],
        "catalog": ["catalog*", "catalog*/**"],
    },
}
