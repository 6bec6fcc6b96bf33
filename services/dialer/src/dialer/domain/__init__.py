"""What dialer decides, as pure functions: time is an argument, nothing here does I/O."""
