"""Nouns of the catalogue, one file each; an asset's parts stand in files of their own."""
