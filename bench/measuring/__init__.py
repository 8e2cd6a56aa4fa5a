"""What the benches share: the machine in words, and real boards with their truth."""
