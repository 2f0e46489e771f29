"""Qdrant over gRPC. Only functions/vectors may import this package."""
