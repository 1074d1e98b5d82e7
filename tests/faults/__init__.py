"""The fault test: real processes, a load of clients, faults by seed, and a judge.

`python -m tests.faults --seconds 300 --seed 7`, or `make faults ARGS="--seconds 300 --seed 7"`.
"""

SOURCES = {"shop": "key-of-the-shop", "till": "key-of-the-till"}
"""Who posts, with the key of each. They give the same message ids to different events."""

LEASE = "FAULTS_LEASE"
"""The environment variable that tells the relays how long their lease is, in seconds."""
