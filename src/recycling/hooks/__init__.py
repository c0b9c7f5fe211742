"""What happens around a run: the plan is read, the graph is checked, the outcome is shown."""

from recycling.hooks.console import ConsoleHooks
from recycling.hooks.elsewhere import MirrorHooks
from recycling.hooks.manifests import ManifestHooks
from recycling.hooks.parts import PartsHooks
from recycling.hooks.plan import PlanHooks
from recycling.hooks.preflight import PreflightError, PreflightHooks
from recycling.hooks.report import ReportHooks
from recycling.hooks.sample import SampleHooks
from recycling.hooks.tracking import TrackingHooks
from recycling.hooks.up_to_date import MixedRunsError, UpToDateHooks, records_folder

__all__ = [
    "ConsoleHooks",
    "ManifestHooks",
    "MirrorHooks",
    "MixedRunsError",
    "PartsHooks",
    "PlanHooks",
    "PreflightError",
    "PreflightHooks",
    "ReportHooks",
    "SampleHooks",
    "TrackingHooks",
    "UpToDateHooks",
    "records_folder",
]
