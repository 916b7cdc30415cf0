"""What all networks have in common: their kinds, checks, parameters, densities and summaries."""
