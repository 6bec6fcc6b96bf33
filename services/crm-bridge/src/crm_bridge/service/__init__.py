"""Use cases of crm-bridge, one module per noun: load, decide, save, publish."""
