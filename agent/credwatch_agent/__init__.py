"""credwatch-agent: what is granted, what is used, and what of it is wrong."""

__version__ = "0.1.0"
