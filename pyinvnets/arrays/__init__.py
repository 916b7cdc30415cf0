"""Array arguments: their specifications, and the checks that they pass before any network sees them."""
