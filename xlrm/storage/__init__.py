"""Files: the one seam for reading, writing and replacing them."""
