"""All SQL of crm-bridge, one module per noun."""
