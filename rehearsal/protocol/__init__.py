"""What goes into a workflow instance of the SDK, and what comes out of it.

The only package that knows the SDK's inside: names that begin with an underscore, and those of
`temporalio.bridge`. pyproject.toml pins the SDK to a minor version for them, and
tests/integration/test_rehearsal.py says whether another one still means the same.
"""
