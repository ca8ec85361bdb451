"""The feature store: features as of a time, from exact table versions or from the online store."""
