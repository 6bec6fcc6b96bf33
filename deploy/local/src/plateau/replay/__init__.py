"""Real days, played again through the running services: arrivals, patience and service times from a file of calls."""
