"""Renderers of a report: one form a file, each a function from records to text."""
