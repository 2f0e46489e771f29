"""Qdrant over gRPC. Imported by functions/vectors alone."""
