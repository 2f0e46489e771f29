"""Paths of the HTTP API, for code that serves no HTTP and must not load the framework."""

BASE_PATH = "/api/v1"
CONSOLE_PATH = "/console"
