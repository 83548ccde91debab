from dose.api import Extractor as Extractor
from dose.api import Kit as Kit
from dose.errors import DoseError as DoseError

__version__: str
