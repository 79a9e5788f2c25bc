"""The version of pie-framework. Imports nothing."""

__version__ = "0.1.0"
