"""Language models as judges: templates, servers, cache, choices."""
