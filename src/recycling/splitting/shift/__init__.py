"""Whether train and test images differ, and by what."""
