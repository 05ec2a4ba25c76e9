"""The same representations for a user's own recordings: features, bags, detection."""
