"""Files of annotations, read row by row; nothing here knows what a class or a fold is, except `columns`.

- `records`: CSV, JSON lines, Parquet and Excel become one kind of table. Door: `read_records`.
- `columns`: the columns of a table of votes, each with its checks.
- `json_files`, `plain_lists`, `xlsx`: one form of file each.
"""
