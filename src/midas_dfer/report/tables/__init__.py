"""Tables of results, and their writers.

- `table_data`: a table as data; `result_tables`: that table for a terminal, Markdown, LaTeX and a page.
- `run_tables`, `run_differences`: the tables of runs, and of differences between them.
- `terminal`, `check_table`: what a verb prints of a store, a training, a check.
"""
