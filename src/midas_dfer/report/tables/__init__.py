"""Tables of results, and their writers.

- `table_data`: a table as data; `terminal`, `markup`: that table for a terminal, Markdown, LaTeX and a page.
- `run_tables`, `measure_tables`, `difference_table`: the tables of runs, of their measures of disagreement, and of
  differences between runs.
- `live_screen`: live readings as bars, and a line for each.
- `store_tables`, `evaluation_table`, `check_table`: what a verb prints of a store, a model's scores, a check.
"""
