"""Table I of the DOSE paper (ICASSP 2025, arXiv 2504.18157): the authors' figures on the authors' data.

Shown beside this project's figures for orientation only: the test data differ, and the paper leaves the
scaling of its spectral distance open, so figures compare within one table and not across the two.
"""

from dose.drums import DRUMS

_METRICS = ("mss", "fad_vggish", "fad_clap")
# Nine figures per system, as printed: for each metric kick, snare, hi-hat.
_SYSTEMS = {
    "rmod": {
        "Reconstruction": (1.832, 1.880, 1.530, 0.207, 0.360, 0.621, 0.133, 0.131, 0.135),
        "LarsNet": (5.153, 6.191, 5.840, 4.414, 6.641, 3.004, 1.119, 1.361, 1.158),
        "DOSE without onset loss": (4.435, 4.262, 3.767, 1.153, 1.566, 1.105, 0.487, 0.718, 0.470),
        "DOSE": (3.700, 4.135, 2.056, 0.920, 0.671, 0.238, 0.439, 0.636, 0.324),
    },
    "rmod_drums": {
        "Reconstruction": (1.832, 1.880, 1.530, 0.207, 0.360, 0.621, 0.133, 0.131, 0.135),
        "LarsNet": (4.841, 5.932, 5.695, 2.738, 5.553, 2.503, 0.887, 1.207, 1.028),
        "DOSE without onset loss": (4.518, 4.316, 3.793, 2.409, 1.649, 0.937, 0.497, 0.706, 0.448),
        "DOSE": (3.708, 3.966, 1.972, 0.978, 0.705, 0.217, 0.435, 0.605, 0.301),
    },
    "groove": {
        "Reconstruction": (2.243, 1.461, 1.476, 2.364, 3.276, 1.935, 0.236, 0.306, 0.234),
        "LarsNet": (5.079, 4.411, 4.752, 4.674, 3.286, 2.467, 1.259, 1.098, 1.309),
        "DOSE without onset loss": (3.606, 4.041, 3.356, 3.453, 3.799, 4.491, 0.690, 1.170, 0.624),
        "DOSE": (3.347, 3.984, 3.631, 3.369, 1.819, 5.152, 0.655, 1.089, 0.933),
    },
}

# data set -> system -> drum -> metric -> value
TABLE: dict[str, dict[str, dict[str, dict[str, float]]]] = {
    dataset: {
        system: {drum: {m: values[3 * j + i] for j, m in enumerate(_METRICS)} for i, drum in enumerate(DRUMS)}
        for system, values in systems.items()
    }
    for dataset, systems in _SYSTEMS.items()
}


def normalised_improvement(dataset: str, drum: str) -> float:
    """(LarsNet - DOSE) / (LarsNet - Reconstruction) of the paper's MSS."""
    mss = {system: drums[drum]["mss"] for system, drums in TABLE[dataset].items()}
    return (mss["LarsNet"] - mss["DOSE"]) / (mss["LarsNet"] - mss["Reconstruction"])
