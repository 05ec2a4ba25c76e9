from .autoencoder_trials import (
    AutoencoderTrial as AutoencoderTrial,
)
from .autoencoder_trials import (
    FoldTrial as FoldTrial,
)
from .autoencoder_trials import (
    describe_training as describe_training,
)
from .autoencoder_trials import (
    split_directions as split_directions,
)
from .candidates import (
    Candidate as Candidate,
)
from .candidates import (
    Candidates as Candidates,
)
from .candidates import (
    fuse_by_seed as fuse_by_seed,
)
from .candidates import (
    join_seeds as join_seeds,
)
from .candidates import (
    mean_score as mean_score,
)
from .classifiers import (
    build_svm as build_svm,
)
from .classifiers import (
    decision_values as decision_values,
)
from .classifiers import (
    properties_classifier as properties_classifier,
)
from .classifiers import (
    upsample as upsample,
)
from .comparison import (
    adjust_holm as adjust_holm,
)
from .comparison import (
    compare as compare,
)
from .comparison import (
    compare_pairs as compare_pairs,
)
from .comparison import (
    describe_comparison as describe_comparison,
)
from .comparison import (
    pool as pool,
)
from .comparison import (
    score as score,
)
from .event_scores import (
    choose_rule as choose_rule,
)
from .event_scores import (
    describe_rates as describe_rates,
)
from .event_scores import (
    tabulate_events as tabulate_events,
)
from .events import (
    count_events as count_events,
)
from .events import (
    locate_events as locate_events,
)
from .fusion import (
    SELECTIONS as SELECTIONS,
)
from .fusion import (
    fuse_decisions as fuse_decisions,
)
from .fusion import (
    fuse_features as fuse_features,
)
from .fusion import (
    fuse_frames as fuse_frames,
)
from .fusion import (
    fuse_probabilities as fuse_probabilities,
)
from .fusion import (
    vote_chunks as vote_chunks,
)
from .fusion import (
    vote_clips as vote_clips,
)
from .learning_curve import (
    draw_subsets as draw_subsets,
)
from .learning_curve import (
    evaluate_curve as evaluate_curve,
)
from .metrics import (
    accuracy as accuracy,
)
from .metrics import (
    confusion as confusion,
)
from .metrics import (
    score_folds as score_folds,
)
from .metrics import (
    unweighted_average_recall as unweighted_average_recall,
)
from .mlp import (
    MLP as MLP,
)
from .mlp import (
    FrameMLP as FrameMLP,
)
from .predictions import (
    FoldResult as FoldResult,
)
from .predictions import (
    PartitionResult as PartitionResult,
)
from .predictions import (
    Predictions as Predictions,
)
from .predictions import (
    choose_nested as choose_nested,
)
from .search import (
    evaluate_bags as evaluate_bags,
)
from .search import (
    evaluate_chunks as evaluate_chunks,
)
from .search import (
    evaluate_grid as evaluate_grid,
)
from .search import (
    fuse_candidates as fuse_candidates,
)
from .search import (
    fuse_weighted as fuse_weighted,
)
from .significance import (
    compare_folds as compare_folds,
)
from .significance import (
    compare_systems as compare_systems,
)
from .sweeps import (
    expand_grid as expand_grid,
)
from .sweeps import (
    sweep as sweep,
)
from .validation import (
    evaluate_folds as evaluate_folds,
)
from .validation import (
    evaluate_partitions as evaluate_partitions,
)
from .validation import (
    evaluate_split as evaluate_split,
)
