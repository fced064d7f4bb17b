"""credwatch: which credential source signed each AWS call."""

__version__ = "0.1.0"
