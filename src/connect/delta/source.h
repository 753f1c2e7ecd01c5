/*
 * source.h - what the files of fromDeltaLake share.
 */
#ifndef MR_CONNECT_DELTA_SOURCE_H
#define MR_CONNECT_DELTA_SOURCE_H

#include "connect/delta/table.h"
#include "connect/delta/value.h"
#include "ext/source.h"

extern const struct mr_option delta_source_options[];

/* A version of a table, read once for all steps of a run. Immutable. */
struct delta_shared {
    struct mr_arena arena;
    const struct delta_snapshot *snapshot; /* NULL: there is no table */
    bool owned;                            /* by the step: the runtime shares nothing */
};

/* What a commit that takes rows away counts as. */
enum delta_changes { DELTA_CHANGES_FAIL, DELTA_CHANGES_SKIP, DELTA_CHANGES_REWRITTEN };

#define DELTA_WHOLE ((int64_t)-2) /* not behind a version: all of it */

/* Where an incremental run ended. */
struct delta_mark {
    int64_t version;
    uint64_t commit; /* hash of its commit, 0 = not known */
    const char *table;
};

/* The option `incremental`. */
struct delta_increment {
    enum delta_changes changes;
    int64_t from;    /* the version that was read last, -1 = before the first; or DELTA_WHOLE */
    uint64_t commit; /* hash of the commit of the version that is read to */
    int nskipped;    /* commits left out */
};

struct delta_source {
    const struct mr_options *options;
    struct mr_arena *arena; /* the plan's */
    struct mr_location location;
    struct delta_asof asof;
    struct mr_tz *tz; /* NULL = UTC */
    struct delta_shared *shared;
    const struct delta_snapshot *snapshot; /* incremental: its files are those that were added */
    struct delta_increment *increment;     /* or NULL */
    bool addresses;
    const struct mr_schema *all;                  /* what could come out */
    const struct mr_schema *schema;               /* what comes out */
    int *columns;                                 /* of `schema`, as numbers in `all` */
    const struct mr_predicate *const *predicates; /* over `all`, none of them of an address */
    int npredicates;
    int64_t limit;
    int *files; /* numbers of the files that are left */
    int nfiles;
    struct delta_skipped skipped;
    struct mr_arena narrow_arena;
    const struct mr_predicate *narrowed; /* over `schema`, or NULL */
};

/* Readers of a store that answers over a network wait more than they work. */
#define DELTA_REMOTE_READERS 16

static inline bool delta_source_is_remote(const struct delta_source *source)
{
    return strcmp(source->location.store->scheme, "file") != 0;
}

/* Fields of the table in `all`; what is behind them are addresses. */
static inline int delta_source_fields(const struct delta_source *source)
{
    return source->snapshot->metadata.schema->nfields;
}

/* ---- shared.c ---- */

enum mr_status delta_shared_get(struct mr_runtime *runtime, const struct mr_location *location,
                                const struct mr_options *options, const struct delta_asof *asof,
                                struct delta_shared **out, struct mr_error *err);
/* Does nothing unless it is owned. */
void delta_shared_release(struct delta_shared *shared);

/* ---- increment.c ---- */

enum mr_status delta_mark_write(const struct delta_mark *mark, struct mr_arena *arena,
                                struct mr_slice *out, struct mr_error *err);
/* False when the bytes are not what write made, or memory ran out. */
bool delta_mark_read(struct mr_slice bytes, struct mr_arena *arena, struct delta_mark *out);
/* Checks of the option that need no table. */
enum mr_status delta_increment_check(struct delta_source *source, const struct mr_source_bind *bind,
                                     struct mr_error *err);
/* Replaces source->snapshot by what is new. */
enum mr_status delta_increment_bind(struct delta_source *source, const struct mr_source_bind *bind,
                                    struct mr_source_info *info, struct mr_error *err);
/* Version `to` with the files that the commits behind `from` added, in the arena, in their order. */
enum mr_status delta_increment_read(const struct delta_table *table,
                                    const struct delta_snapshot *to, int64_t from,
                                    enum delta_changes changes, struct mr_arena *arena,
                                    const struct delta_snapshot **out, int *nskipped,
                                    struct mr_error *err);
/* Where this run ends. */
enum mr_status delta_increment_end(const struct delta_source *source, struct mr_arena *arena,
                                   struct mr_split_list *out, struct mr_error *err);

static inline int64_t delta_source_from(const struct delta_source *source)
{
    return source->increment ? source->increment->from : DELTA_WHOLE;
}

/* ---- splits.c ---- */

/* A part of a file: number in snapshot->files, and its bytes. */
struct delta_part {
    int file;
    int64_t offset;
    int64_t size; /* INT64_MAX = to the end */
};

struct delta_split {
    int64_t version;
    int64_t from; /* files are those that the commits behind this version added; or DELTA_WHOLE */
    struct delta_part *parts;
    int nparts;
};

enum mr_status delta_source_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                   struct mr_split_list *out, struct mr_error *err);
enum mr_status delta_split_read(struct mr_slice token, struct mr_arena *arena,
                                struct delta_split *out, struct mr_error *err);

/* ---- reader.c ---- */

enum mr_status delta_reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                 struct mr_slice from, void **reader, struct mr_error *err);
enum mr_status delta_reader_next(void *reader, struct mr_item *out, struct mr_error *err);
enum mr_status delta_reader_position(void *reader, struct mr_bytes *out, struct mr_error *err);
void delta_reader_close(void *reader);

#endif
