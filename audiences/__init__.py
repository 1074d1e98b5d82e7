"""Computed traits and segments: one module a subject, found by itself.

See docs/audiences.md.
"""
