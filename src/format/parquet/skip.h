/*
 * skip.h - row groups and stretches of rows in which no row can match.
 */
#ifndef MR_FORMAT_PARQUET_SKIP_H
#define MR_FORMAT_PARQUET_SKIP_H

#include "ext/prune.h"
#include "format/parquet/resolve.h"

/* Where a data page lies, of the offset index. */
struct mr_pq_place {
    int64_t offset;
    int64_t size; /* header and body */
    int64_t row;  /* first, in the row group */
};

struct mr_pq_places {
    int count; /* 0: no (usable) offset index */
    struct mr_pq_place *items;
};

/* Rows [from, to) of a row group. */
struct mr_pq_rows {
    int64_t from;
    int64_t to;
};

struct mr_pq_skip {
    const struct mr_format_read *read;
    const struct mr_pq_selection *selection;
    struct mr_byte_source *source;
};

/* May any row of it match? */
bool mr_pq_skip_group(const struct mr_pq_skip *skip, const struct mr_pq_group *group);
/*
 * The rows of the group that may match, by its page indexes, ascending, apart; all when it has none.
 * *places: one a wanted leaf of the selection, or NULL when nothing is left out. In `arena`.
 */
enum mr_status mr_pq_skip_pages(const struct mr_pq_skip *skip, const struct mr_pq_group *group,
                                struct mr_arena *arena, struct mr_pq_rows **rows, int *count,
                                struct mr_pq_places **places, struct mr_error *err);

#endif
