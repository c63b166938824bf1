"""A face of synthetic geometry, from anatomy to pixels; `render_face` in `portrait` is the door.

`anatomy` places its parts under an expression and a pose; `skin`, `hair`, `features`, `beard_and_scarf` paint them on
a `canvas`.
"""
