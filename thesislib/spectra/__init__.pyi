from .plot import (
    FREQUENCY_AXES as FREQUENCY_AXES,
)
from .plot import (
    STYLES as STYLES,
)
from .plot import (
    THESIS_COLOUR_MAPS as THESIS_COLOUR_MAPS,
)
from .plot import (
    AudioPlot as AudioPlot,
)
from .plot import (
    check_colour_map as check_colour_map,
)
from .plot import (
    colour_table as colour_table,
)
from .plot import (
    draw_plot as draw_plot,
)
from .plot import (
    write_png as write_png,
)
from .spectrogram import (
    KINDS as KINDS,
)
from .spectrogram import (
    Spectrum as Spectrum,
)
from .spectrogram import (
    clip_below as clip_below,
)
from .spectrogram import (
    delta as delta,
)
from .spectrogram import (
    power_to_db as power_to_db,
)
from .spectrogram import (
    scale_to_unit as scale_to_unit,
)
