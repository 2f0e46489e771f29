"""A module that the layer provides."""

NAME = "layer"
