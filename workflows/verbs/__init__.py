"""What a journey's author can await on `self`, a module a kind."""
