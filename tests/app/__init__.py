"""The app: who may ask for what, its words, its routes, and its pages in a real browser."""
