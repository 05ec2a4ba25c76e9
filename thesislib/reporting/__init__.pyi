from .attribution import (
    SVMOnPlots as SVMOnPlots,
)
from .background import (
    fit_polynomials as fit_polynomials,
)
from .background import (
    plot_activation as plot_activation,
)
from .background import (
    plot_fits as plot_fits,
)
from .explore import (
    ScoredClip as ScoredClip,
)
from .explore import (
    activate_layers as activate_layers,
)
from .explore import (
    chain_channels as chain_channels,
)
from .explore import (
    choose as choose,
)
from .explore import (
    draw_examples as draw_examples,
)
from .explore import (
    draw_plot as draw_plot,
)
from .explore import (
    draw_reconstruction as draw_reconstruction,
)
from .explore import (
    explore_clip as explore_clip,
)
from .explore import (
    explore_decisions as explore_decisions,
)
from .explore import (
    explore_detections as explore_detections,
)
from .explore import (
    find_clip as find_clip,
)
from .explore import (
    open_clips as open_clips,
)
from .explore import (
    read_excerpt as read_excerpt,
)
from .explore import (
    summarise_layers as summarise_layers,
)
from .figures import (
    plot_audio as plot_audio,
)
from .figures import (
    plot_confusion as plot_confusion,
)
from .figures import (
    plot_detection as plot_detection,
)
from .figures import (
    plot_histories as plot_histories,
)
from .figures import (
    plot_layers as plot_layers,
)
from .figures import (
    plot_reconstructions as plot_reconstructions,
)
from .figures import (
    plot_sweeps as plot_sweeps,
)
from .figures import (
    use_style as use_style,
)
from .figures import (
    write_figure as write_figure,
)
from .layouts import (
    render as render,
)
from .objectives import (
    compare_runs as compare_runs,
)
from .objectives import (
    judge_objectives as judge_objectives,
)
from .overview import (
    list_results as list_results,
)
from .overview import (
    load_ledger as load_ledger,
)
from .overview import (
    write_readme_table as write_readme_table,
)
from .published import (
    list_published as list_published,
)
from .published import (
    load_published as load_published,
)
from .published import (
    published_headline as published_headline,
)
from .runs import (
    find_runs as find_runs,
)
from .runs import (
    load_stored as load_stored,
)
from .runs import (
    score_systems as score_systems,
)
from .scores import (
    ScoreTable as ScoreTable,
)
from .sheets import (
    show_claims as show_claims,
)
from .sheets import (
    show_figures as show_figures,
)
from .sheets import (
    show_ledger as show_ledger,
)
from .sheets import (
    show_results as show_results,
)
from .sheets import (
    show_table as show_table,
)
from .tables import (
    ResultTable as ResultTable,
)
from .tables import (
    join_published as join_published,
)
from .tables import (
    write_table as write_table,
)
