"""All SQL of routing; rows to domain values and back."""
