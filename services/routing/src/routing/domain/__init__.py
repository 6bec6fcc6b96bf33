"""The decisions of routing: pure Python. Time is an argument; nothing here reads a clock, a network or a database."""
