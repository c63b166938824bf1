"""Charts, each drawn by one function here. `style` is the look of all, `layout` and `sheet` their places.

Of a store: `description_figures`, `examples`, `paper_figures`. Of a training: `training_curves`. Of an evaluation:
`evaluation_figures`. Of what a network looks at: `activation_figure`. Of MIDAS: `mixing_figure`. Of a reading:
`timeline_plot`, `timeline_page`, `picture_plot`.
"""
