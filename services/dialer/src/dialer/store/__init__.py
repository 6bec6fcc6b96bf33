"""All SQL of dialer: rows to domain values and back."""
