"""Cleaning annotations: the rules, their settings, the audit."""
