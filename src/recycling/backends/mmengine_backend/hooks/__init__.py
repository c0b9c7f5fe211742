"""Hooks of mmengine's training loop."""
