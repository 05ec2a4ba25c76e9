"""Deep representation learning for audio: the methods of Amiriparian's thesis (2018).

Five stages, in the order in which data goes through them: :mod:`thesislib.corpora`,
:mod:`thesislib.spectra`, :mod:`thesislib.representations`, :mod:`thesislib.evaluation`,
:mod:`thesislib.reporting`. The notebooks join them.
"""

__version__ = "0.2.0"
