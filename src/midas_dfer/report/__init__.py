"""What is shown: pictures, pages, tables, video. It counts nothing: scores come from `metrics` and `comparison`.

- `pictures`: every chart, drawn once.
- `pages`: HTML pages that hold all they show. Doors: `write_report`, `write_description_page`.
- `tables`: results as text for a terminal, Markdown, LaTeX and HTML.
- `video`: a copy of a video with its reading drawn in. Door: `write_prediction`.
"""
