"""The journeys: one folder each, with its code and its templates."""
