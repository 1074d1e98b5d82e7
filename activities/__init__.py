"""What workflows may ask of the world. Classes are given the domain's ports."""
