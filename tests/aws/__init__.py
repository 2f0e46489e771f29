"""Tests that play AWS: its documented limits, its sequences and its permissions, checked on the deployed templates."""
