"""Mistakes that the type checkers, strict, must find. A line with one says what each calls it.

Where one of the two is silent it cannot know: mypy does not bind the class line of a journey to
its events, and pyright takes `step("…", str, work)` of a float for a step of both.
"""
