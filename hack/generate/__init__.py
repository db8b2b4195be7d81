"""Writes what follows from the models in `mageflow.api`: the CRDs and the reference documentation."""
