"""Kedro's settings of the project."""

import warnings

from recycling.configuration import ConfigLoader, environment_variable
from recycling.hooks import (
    ConsoleHooks,
    ManifestHooks,
    MirrorHooks,
    PartsHooks,
    PlanHooks,
    PreflightHooks,
    ReportHooks,
    SampleHooks,
    TrackingHooks,
    UpToDateHooks,
)
from recycling.sessions import NamedSession

# Kedro 1.7 calls it by its old name, and so would warn in every command.
warnings.filterwarnings("ignore", message=r"(?s)\s*register_new_resolver")
# What Kedro-Viz shows of nodes; a version of Kedro that changes it fails a test here.
warnings.filterwarnings("ignore", message="The 'preview_fn' feature is experimental")

HOOKS = (
    PartsHooks(),
    MirrorHooks(),
    ConsoleHooks(),
    TrackingHooks(),
    ReportHooks(),
    ManifestHooks(),
    UpToDateHooks(),
    PreflightHooks(),
    SampleHooks(),
    PlanHooks(),
)
"""Run last to first: read the plan, fall back to the shipped sample, check, find what is stale,
keep a manifest, write the report, track the run, show the outcome, send what was written where
`data` is elsewhere, hand out large tables by parts."""

DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)


SESSION_CLASS = NamedSession
CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "custom_resolvers": {"env": environment_variable},
    "config_patterns": {
        "parameters": ["parameters*", "parameters*/**", "models*"],
        "catalog": ["catalog*", "catalog*/**"],
    },
}
