"""Feature tables: what was known of an entity when its prediction was due, and the proof that no more was used."""
