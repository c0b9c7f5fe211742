"""Image files: what they are, what is wrong with them, which ones are alike."""
