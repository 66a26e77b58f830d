"""What the code of every page begins with: it runs in the repository, and its figures are alike."""

import os
from pathlib import Path

import matplotlib.pyplot as plt

from deeppseudopot_jax.files.results.figures.style import COLORS

os.chdir(Path(__file__).parents[1])
plt.rcParams.update(
    {
        "axes.prop_cycle": plt.cycler(color=COLORS),
        "figure.dpi": 160,
        "figure.figsize": (4.6, 3.2),
        "figure.constrained_layout.use": True,
        "font.size": 8.5,
        "axes.titlesize": 8.5,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "xtick.direction": "in",
        "ytick.direction": "in",
    }
)
