"""What an array must look like, and what is known of one before any network sees it."""
