"""Studies: what was trained, compared and measured on open data, each in a folder with its figures (results.json).

- `disagreement`: learning from votes on FER+ (docs/disagreement.md).
- `synthetic_clips`: the same on synthetic clips (docs/synthetic_clips.md).
- `reader`: how the packaged reader was trained and measured (docs/reader.md).
- `leaderboard`: readers of others beside ours (docs/leaderboard.md).
- `finetune`: training from the reader's weights (docs/pretrained.md).
- `pages`: how the pages are written: templates, tables, wrapped lines.
- `readings`, `readme_picture`: the figures of docs/readings.md, and the README's picture.
- `app_pictures`: those of docs/app.md.
- `second_panel`: ten people against ten others, on FER+ (docs/measures.md).
- `face_cuts`: how a face is cut, and what the reader then says (docs/video.md).
"""
