"""Both engines held against each other and against numbers that upstream computed."""
