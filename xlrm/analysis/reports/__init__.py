"""Reports: sections put together from exhibits, and the pages of them."""
