"""Inference: loads trained models from their tables by digest, and predicts with provenance."""
