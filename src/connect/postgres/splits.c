/*
 * splits.c - which parts a step is read in.
 *
 * With a partition column: ranges of it (ranges.c). Without one, tables are cut at their pages: "ctid >= '(1024,0)' AND ctid < '(2048,0)'" is a
 * TID range scan since PostgreSQL 14, which reads just these pages. Sizes are the real ones of the files (pg_relation_size), TOAST included, not
 * relpages, which may be old; the last range is open, so rows on pages added since are not lost. Partitioned tables are cut child by
 * child. Views, foreign tables and queries without a column are one split.
 *
 * When the server would rather use an index for the conditions that were pushed down, cutting by pages would make every split
 * walk the table: then it is one split.
 */
#include "connect/postgres/incremental.h"

#include <math.h>
#include <stdio.h>

#define SMALL_TABLE           ((int64_t)16 << 20)
#define SPLIT_BYTES           ((int64_t)8 << 20)
#define SPLIT_BYTES_MAX       ((int64_t)1 << 30)
#define SPLITS_PER_CONNECTION 4

struct work {
    struct mr_postgres_state *state;
    struct mr_runtime *runtime;
    struct mr_arena *arena;
    struct mr_error *err;
    struct mr_split_list *out;
    const char *window; /* of an incremental run, as SQL; NULL = all rows */
    struct mr_postgres_estimate estimate;
    char snapshot[MR_POSTGRES_SNAPSHOT_MAX];
    struct mr_split *items;
    int count;
    int capacity;
};

static enum mr_status add_split(struct work *work, const struct mr_postgres_split *split,
                                const char *label, double share)
{
    if (work->count == work->capacity) {
        int capacity = work->capacity ? 2 * work->capacity : 16;
        struct mr_split *items = mr_arena_calloc(work->arena, (size_t)capacity, sizeof *items);
        if (items == NULL)
            return mr_error_nomem(work->err);
        if (work->count)
            memcpy(items, work->items, (size_t)work->count * sizeof *items);
        work->items = items;
        work->capacity = capacity;
    }
    struct mr_split *out = &work->items[work->count];
    *out = (struct mr_split){.label = label, .rows = -1, .bytes = -1, .unordered = !split->ordered};
    if (label == NULL)
        return mr_error_nomem(work->err);
    if (work->estimate.rows >= 0) {
        double rows = work->estimate.rows * (share > 0 ? share : 0);
        if (work->state->limit >= 0 && rows > (double)work->state->limit)
            rows = (double)work->state->limit;
        out->rows = (int64_t)llround(rows);
        out->bytes = (int64_t)(rows * (work->estimate.width + 4 * work->state->ncolumns + 2));
    }
    struct mr_postgres_split full = *split;
    full.snapshot = mr_slice_of(work->snapshot);
    if (work->window) {
        const char *range = split->condition.size ? split->condition.data : "true";
        const char *both = mr_arena_printf(work->arena, "(%s) AND (%s)", work->window, range);
        if (both == NULL)
            return mr_error_nomem(work->err);
        full.condition = mr_slice_of(both);
    }
    MR_TRY(mr_postgres_split_write(&full, work->arena, &out->token, work->err));
    work->count++;
    return MR_OK;
}

/* How many splits a table of this size is worth. */
static int default_count(const struct work *work, int64_t bytes)
{
    int64_t connections = work->state->settings.max_connections;
    if (bytes < SMALL_TABLE)
        return 1;
    int64_t n = bytes / SPLIT_BYTES;
    if (n > SPLITS_PER_CONNECTION * connections)
        n = SPLITS_PER_CONNECTION * connections;
    if (n < bytes / SPLIT_BYTES_MAX)
        n = bytes / SPLIT_BYTES_MAX;
    return n > 100000 ? 100000 : (int)n;
}

static int64_t relation_bytes(const struct mr_postgres_relation *relation)
{
    return relation->heap_bytes + relation->toast_bytes;
}

/* --- ranges of a column --- */

static enum mr_status split_by_column(struct work *work, struct mr_pg *pg, int64_t bytes)
{
    const struct mr_postgres_state *state = work->state;
    if (bytes == 0 && work->estimate.rows > 0) /* a query or a view: what the planner thinks */
        bytes = (int64_t)(work->estimate.rows * (work->estimate.width + 28));
    int wanted = state->settings.partitions;
    if (wanted == 0)
        wanted = default_count(work, bytes);
    if (wanted == 1 && state->settings.partitions == 0 && state->settings.lower)
        wanted = state->settings.max_connections;
    struct mr_postgres_ranges ranges;
    MR_TRY(mr_postgres_ranges(work->state, pg, wanted, work->arena, &ranges, work->err));
    for (int i = 0; i < ranges.count; i++) {
        struct mr_postgres_split split = {
            .oid = state->relation.oid,
            .filenode = state->relation.filenode,
            .from = mr_slice_of(state->relation.from),
            .condition = mr_slice_of(ranges.items[i].condition),
        };
        MR_TRY(add_split(work, &split, ranges.items[i].label, ranges.items[i].share));
    }
    return MR_OK;
}

/* --- pages --- */

static enum mr_status split_table(struct work *work, const struct mr_postgres_relation *table,
                                  const char *from, int wanted, double share)
{
    struct mr_postgres_split split = {
        .ordered = table->heap && (wanted > 1 || work->estimate.sequential),
        .oid = table->oid,
        .filenode = table->filenode,
        .from = mr_slice_of(from),
    };
    int64_t pages = table->heap_bytes / table->block_size;
    if (wanted > pages)
        wanted = pages > 1 ? (int)pages : 1;
    if (wanted == 1)
        return add_split(work, &split, table->label, share);
    for (int i = 0; i < wanted; i++) {
        long long first = (long long)(pages * i / wanted);
        long long end = (long long)(pages * (i + 1) / wanted);
        bool last = i == wanted - 1;
        char to[64] = "";
        char shown[32] = "..";
        if (!last) {
            snprintf(to, sizeof to, " AND ctid < '(%lld,0)'::tid", end);
            snprintf(shown, sizeof shown, "%lld", end);
        }
        const char *condition =
            mr_arena_printf(work->arena, "ctid >= '(%lld,0)'::tid%s", first, to);
        const char *label =
            mr_arena_printf(work->arena, "%s pages [%lld, %s)", table->label, first, shown);
        if (condition == NULL)
            return mr_error_nomem(work->err);
        split.condition = mr_slice_of(condition);
        MR_TRY(add_split(work, &split, label, share * (double)(end - first) / (double)pages));
    }
    return MR_OK;
}

/* By rows where every table was counted, else by bytes. */
static double table_share(const struct mr_postgres_relation *tables, int n, int i, bool counted,
                          double total)
{
    if (total <= 0)
        return 1.0 / n;
    return (counted ? tables[i].rows : (double)relation_bytes(&tables[i])) / total;
}

static enum mr_status split_tables(struct work *work, const struct mr_postgres_relation *tables,
                                   int n, bool only, int wanted, bool page_ranges)
{
    bool counted = true;
    double rows = 0;
    double bytes = 0;
    for (int i = 0; i < n; i++) {
        counted = counted && tables[i].rows >= 0;
        rows += tables[i].rows;
        bytes += (double)relation_bytes(&tables[i]);
    }
    for (int i = 0; i < n; i++) {
        const struct mr_postgres_relation *table = &tables[i];
        const char *from = table->from;
        if (only && table->kind == 'r')
            from = mr_arena_printf(work->arena, "ONLY %s", table->from);
        if (from == NULL)
            return mr_error_nomem(work->err);
        int parts = 1;
        if (table->heap && page_ranges && bytes > 0)
            parts = (int)lround((double)relation_bytes(table) / bytes * wanted);
        MR_TRY(split_table(work, table, from, parts > 1 ? parts : 1,
                           table_share(tables, n, i, counted, counted ? rows : bytes)));
    }
    return MR_OK;
}

static enum mr_status split_by_pages(struct work *work, struct mr_pg *pg,
                                     const struct mr_postgres_relation *tables, int n, bool only)
{
    int64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += relation_bytes(&tables[i]);
    int wanted = work->state->settings.partitions;
    bool asked = wanted > 0;
    if (!asked)
        wanted = default_count(work, bytes);
    bool page_ranges = mr_pg_server_version(pg) >= 140000 && (asked || work->estimate.sequential);
    return split_tables(work, tables, n, only, wanted, page_ranges);
}

static enum mr_status plan_splits(struct work *work, struct mr_pg *pg)
{
    struct mr_postgres_state *state = work->state;
    struct mr_bytes sql;
    mr_bytes_init(&sql, MR_BYTES_DEFAULT_MAXIMUM);
    struct mr_postgres_select select = {.from = state->relation.from,
                                        .condition = work->window,
                                        .limit = -1};
    mr_postgres_write_select(state, &select, &sql);
    enum mr_status status = mr_bytes_status(&sql, work->err);
    if (status == MR_OK)
        status = mr_postgres_estimate(pg, sql.data, &work->estimate, work->err);
    mr_bytes_reset(&sql);
    if (status != MR_OK)
        return status;
    struct mr_postgres_relation *tables = &state->relation;
    int n = 1;
    if (state->relation.parent)
        MR_TRY(mr_postgres_children(pg, &state->relation, work->arena, &tables, &n, work->err));
    int64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += relation_bytes(&tables[i]);
    if (state->settings.partition_column)
        return split_by_column(work, pg, bytes);
    if (strchr("rmp", state->relation.kind) && state->relation.kind != 'q')
        return split_by_pages(work, pg, tables, n, state->relation.parent);
    struct mr_postgres_split split = {.oid = state->relation.oid,
                                      .from = mr_slice_of(state->relation.from)};
    return add_split(work, &split, state->relation.label, 1);
}

static enum mr_status ask_splits(void *context, struct mr_pg *pg, struct mr_error *err)
{
    struct work *work = context;
    work->err = err;
    work->items = NULL;
    work->count = 0;
    MR_TRY(mr_postgres_incremental_window(work->state, pg, work->arena, work->out, &work->window,
                                          err));
    return plan_splits(work, pg);
}

static enum mr_status wait_for_standby(void *context, struct mr_pg *pg, struct mr_error *err)
{
    const struct work *work = context;
    return mr_postgres_check_lag(&work->state->limits, work->runtime, pg, true, err);
}

enum mr_status mr_postgres_splits(void *object, struct mr_runtime *runtime, struct mr_arena *arena,
                                  struct mr_split_list *out, struct mr_error *err)
{
    struct mr_postgres_state *state = object;
    struct work work = {.state = state, .runtime = runtime, .arena = arena, .out = out};
    if (state->settings.shared_snapshot && state->limits.lag_micros > 0 &&
        mr_postgres_server_since(state->server) == 0)
        MR_TRY(mr_postgres_server_ask(state->server, runtime, wait_for_standby, &work, err));
    if (state->settings.shared_snapshot)
        MR_TRY(mr_postgres_server_snapshot(state->server, runtime, !state->settings.one_connection,
                                           work.snapshot, err));
    enum mr_status status = mr_postgres_server_ask(state->server, runtime, ask_splits, &work, err);
    if (status == MR_OK && state->settings.initial_connections > 0)
        status = mr_postgres_server_warm(state->server, runtime, work.snapshot,
                                         state->settings.initial_connections, err);
    out->items = work.items;
    out->count = work.count;
    if (state->settings.shared_snapshot)
        out->safe_time = mr_postgres_server_safe_time(state->server);
    return status;
}
