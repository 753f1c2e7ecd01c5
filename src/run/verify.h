/*
 * verify.h - the targets of a pipeline against what its loads counted (ledger.h).
 */
#ifndef MR_RUN_VERIFY_H
#define MR_RUN_VERIFY_H

#include "run/ledger.h"

enum mr_verdict {
    MR_VERIFY_EQUAL,
    MR_VERIFY_DIFFERENT,
    MR_VERIFY_UNKNOWN, /* nothing differs, but not everything could be compared */
};

struct mr_verified_column {
    const char *name;
    const char *why; /* not compared, because; or NULL */
    bool same;
    int64_t nulls_loaded;
    int64_t nulls_found;
};

/* Where rows differ: a range of a column, or a partition. */
struct mr_verified_place {
    const char *text; /* "id 4096 .. 8191", "day=2024-05-01" */
    int64_t rows_loaded;
    int64_t rows_found;
    const char *row; /* the one that is missing or too many: "id 5123"; or NULL */
};

struct mr_verified {
    const struct mr_step_spec *step;
    const char *target;
    enum mr_verdict verdict;
    const char *why;                /* UNKNOWN; or of a difference, what else is to be known */
    const struct mr_ledger *ledger; /* NULL = nothing was counted; content freed */
    int64_t rows_loaded;            /* KEYS: keys that are looked at */
    int64_t rows_found; /* KEYS: of them; else in the target, or in what the condition selects */
    int64_t rows_other; /* PARTITIONS: in partitions that no counted load wrote */
    int64_t missing;    /* KEYS */
    int64_t changed;    /* KEYS */
    bool sampled;       /* KEYS: there are more keys than are looked at */
    bool moved;         /* every column has its values, but rows have others of them */
    int ncolumns;       /* 0 = not compared */
    const struct mr_verified_column *columns;
    int nplaces;
    const struct mr_verified_place *places;
    int64_t places_left_out;
};

struct mr_verify_options {
    const char *load; /* name, label number or key of a load; NULL = all */
    int most_places;
};

/*
 * Reads the targets, in the arena of the session. MR_BUSY while an interrupted commit waits to be finished. Different
 * content is no failure.
 */
enum mr_status mr_verify(struct mr_session *session, const struct mr_verify_options *options,
                         struct mr_verified **out, int *count, struct mr_error *err);

#endif
