"""Who said what about which video: the manifest, and the adapters that make one. Nothing here needs torch."""
