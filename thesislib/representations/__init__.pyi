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
from .dcgan import (
    DCGAN as DCGAN,
)
from .deep_spectrum import (
    DeepSpectrum as DeepSpectrum,
)
from .end_to_end import (
    WaveformClassifier as WaveformClassifier,
)
from .functionals import (
    Functionals as Functionals,
)
from .learnt import (
    LearntFeatures as LearntFeatures,
)
from .s2sae import (
    S2SAE as S2SAE,
)
from .statistics import (
    BandStatistics as BandStatistics,
)
