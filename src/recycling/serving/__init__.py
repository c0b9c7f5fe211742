"""A service: photographs in, what is on them out, over HTTP."""

from recycling.serving.app import application
from recycling.serving.core import Refused, ServiceLimits, ServingError
from recycling.serving.models import ServedModels

__all__ = ["Refused", "ServedModels", "ServiceLimits", "ServingError", "application"]
