"""The command `doctor`: what is installed, and what may be wrong with a bundle."""

from deeppseudopot_jax.toolkit.doctor.examination import Examination, examine
from deeppseudopot_jax.toolkit.doctor.installation import installation
from deeppseudopot_jax.toolkit.doctor.remarks import Remark

__all__ = ["Examination", "Remark", "examine", "installation"]
