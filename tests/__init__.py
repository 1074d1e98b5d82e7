"""Tests on real parts: PostgreSQL, Temporal, SMTP and HTTP peers."""
