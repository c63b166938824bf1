"""Many trainings at once: folds and seeds, the paper's tables, on one machine or several."""
