"""The API process: accepts events, reads back what became of them."""
