"""Many videos at once: what is to be read, on all cores, a folder for each, one table over all."""
