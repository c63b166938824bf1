"""HTML pages that hold all they show, from `templates/`, with the charts of `pictures`; `page` is their shell.

- `description_page`: what is in a store. Door: `write_description_page`.
- `run_page`, `run_examples`: runs side by side. Door: `write_report`.
"""
