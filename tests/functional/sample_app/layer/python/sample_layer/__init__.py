"""Comes in the layer."""

NAME = "layer"
