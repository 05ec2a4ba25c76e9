from .index import (
    Corpus as Corpus,
)
from .opening import (
    load_any as load_any,
)
from .opening import (
    load_corpus as load_corpus,
)
from .opening import (
    open_corpus as open_corpus,
)
from .opening import (
    open_own as open_own,
)
from .opening import (
    open_tasks as open_tasks,
)
from .opening import (
    read_corpora as read_corpora,
)
from .records import (
    FETCHABLE as FETCHABLE,
)
from .records import (
    NEEDS as NEEDS,
)
