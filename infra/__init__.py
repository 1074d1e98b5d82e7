"""I/O: the database, the channels, Temporal, settings. Implements the domain's ports."""
