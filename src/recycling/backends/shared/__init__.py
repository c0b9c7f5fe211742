"""What all backends share: settings, recipes, weights, the checkpoint folder, resuming."""
