from dose.api.extractor import Extractor as Extractor
from dose.api.kit import Kit as Kit
from dose.errors import DoseError as DoseError

__version__: str
