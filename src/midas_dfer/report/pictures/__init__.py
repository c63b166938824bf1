"""Charts, each drawn by one function here: as a picture, or inside an HTML page.

`style` is the look of all; `layout` their headings, names and places; `chart` a chart with its numbers, as file or SVG.
Of a store: `description_figures`, `examples`. Of a training: `training_curves`. Of an evaluation: `evaluation_figures`,
`risk_figure`. Of what a network looks at: `activation_figure`. Of MIDAS: `mixing_figure`. Of a reading:
`timeline_plot`, `timeline_page`, `silence_marks`, `picture_plot`.
"""
