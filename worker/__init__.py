"""The worker process: runs journeys and their activities."""
