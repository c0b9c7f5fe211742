"""Settings of a model in mmengine's config: one file a setting, or a few that belong together."""
