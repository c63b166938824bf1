"""Departures of our rows from the printed ones beside them, other networks or other trainings: their footnotes."""

OWN_DESIGN = (
    "Own design: what is published of this network does not suffice for a copy, and parts of its inside are this "
    "project's (docs/models.md). Ours and the printed figures are of different networks."
)
OWN_SIZES = "The publication gives no sizes of this network; those of the GRU are this project's (docs/models.md)."
HARAS_RECIPE = (
    "Trained as its authors train on Kinetics (Hara et al.: rate 0.1, batches of 128, 200 epochs, weight decay 0.001). "
    "The printed figures are those of Former-DFER's comparison, which need not have trained it so."
)
FORMER_DFERS_RECIPE = "Its own training is not published; ours is Former-DFER's."
LOGO_FORMERS_RECIPE = "Its own training is not published; ours is that of its authors' later LOGO-Former."
OWN_RECIPE = "Its training is not published; ours is this project's own."
