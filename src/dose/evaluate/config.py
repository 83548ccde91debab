"""params.yaml: evaluate."""

import dataclasses
from pathlib import Path
from typing import Literal, get_args

from dose.config import was

Dataset = Literal["rmod", "rmod_drums", "groove", "realistic", "realistic_drums"]
# Files of pretrained embedding networks in the folder `weights`, as they are published.
VGGISH_FILE, CLAP_FOLDER, ENCODEC_FILE = "vggish-10086976.pth", "clap", "encodec_24khz-d7cc33bc.th"
NETWORKS = {"vggish": VGGISH_FILE, "clap": CLAP_FOLDER, "encodec": ENCODEC_FILE}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    seed: int = 0  # of resamples and sub-sets
    items: int = 100  # test items per data set, at most
    datasets: tuple[Dataset, ...] = get_args(Dataset)
    # Samples per drum and mix that are reranked in the systems beyond the paper; 1 leaves those systems out.
    samples: int = dataclasses.field(default=4, metadata=was("draws"))
    bundles: tuple[str, ...] = ()  # further systems: folders of kit bundles, or "shipped"
    embeddings: tuple[Literal["codec", "vggish", "clap", "encodec"], ...] = (
        "codec",
        "vggish",
        "clap",
        "encodec",
    )
    weights: str = "weights"  # folder of pretrained embedding networks
    larsnet: str | None = None  # folder of the authors' networks or of ones trained here; None: the shipped
    bootstrap: int = 1000  # resamples behind the interval of a mean over items
    bootstrap_sets: int = 100  # resamples behind the interval of a distance between sets
    recordings: bool = True  # real recordings, without references, on the listening page

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError("samples must be at least 1")
        # Percentiles of fewer than 20 resamples are the extremes.
        if self.items < 2 or self.bootstrap < 20 or self.bootstrap_sets < 20:
            raise ValueError("items must be at least 2, bootstrap and bootstrap_sets at least 20")
        if not self.datasets or len(set(self.datasets)) != len(self.datasets):
            raise ValueError("datasets must name at least one data set, and each once")
        if "codec" not in self.embeddings:
            raise ValueError("embeddings must include codec, which needs no weights")


def weight_files(config: EvaluateConfig) -> list[str]:
    """The files and folders of the configured embedding networks, with their pins; none need exist."""
    paths = [Path(config.weights) / file for name, file in NETWORKS.items() if name in config.embeddings]
    return [text for path in paths for text in (str(path), f"{path}.sha256")]
