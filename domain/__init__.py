"""What Sojourn is about: events, customers, enrollments, messages. Pure: no I/O, no engine."""
