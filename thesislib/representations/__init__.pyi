from .bag_grid import (
    BagGrid as BagGrid,
)
from .bag_of_features import (
    BagOfFeatures as BagOfFeatures,
)
from .crnn import (
    CRNN as CRNN,
)
from .crnn import (
    FFNN as FFNN,
)
from .crossfit import (
    CrossFittedFeatures as CrossFittedFeatures,
)
from .dcgan import (
    DCGAN as DCGAN,
)
from .deep_spectrum import (
    DeepSpectrum as DeepSpectrum,
)
from .end_to_end import (
    WaveformClassifier as WaveformClassifier,
)
from .extraction import (
    extract as extract,
)
from .extraction import (
    read_items as read_items,
)
from .functionals import (
    Functionals as Functionals,
)
from .hear import (
    HEAR as HEAR,
)
from .hear import (
    hear_modules as hear_modules,
)
from .properties import (
    Properties as Properties,
)
from .properties import (
    extract_properties as extract_properties,
)
from .reading import (
    Reading as Reading,
)
from .s2sae import (
    S2SAE as S2SAE,
)
from .statistics import (
    LogMelStatistics as LogMelStatistics,
)
