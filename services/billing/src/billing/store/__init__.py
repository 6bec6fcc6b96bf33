"""All SQL of billing, and its reading of the log of cases; rows to domain values and back."""
