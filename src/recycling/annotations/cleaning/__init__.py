"""Cleaning annotations: the rules, their settings, the audit and its replay."""
