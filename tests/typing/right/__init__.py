"""Journeys and pieces of them with which both type checkers, strict, must be content."""
