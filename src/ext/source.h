/*
 * source.h - contract: something that rows are read from.
 */
#ifndef MR_EXT_SOURCE_H
#define MR_EXT_SOURCE_H

#include "ext/item.h"
#include "ext/predicate.h"
#include "ext/runtime.h"

enum mr_source_flag {
    MR_SOURCE_STREAMING = 1 << 0,
    /* a split read twice under one snapshot gives the same rows in the same order */
    MR_SOURCE_STABLE_ORDER = 1 << 1,
    /* a split means the same rows in another run (files, offsets) */
    MR_SOURCE_IMMUTABLE = 1 << 2,
    /* another run is given other rows, which nothing tells apart (streams of an embedding program) */
    MR_SOURCE_GIVEN = 1 << 3,
};

/* Where incremental reading of a step has ended, as it is stored and handed back. */
struct mr_source_position {
    const char *step;      /* mr_step_spec.key */
    const char *method;    /* canonical name: another one understands nothing of the bytes */
    const char *text;      /* for people, at full precision */
    struct mr_slice bytes; /* empty = set by a person: the text alone */
};

struct mr_source_bind {
    const struct mr_options *options;
    struct mr_runtime *runtime;
    struct mr_arena *arena;         /* the plan's: what bind makes lives here */
    const char *last_run_timestamp; /* value of ${last_run_timestamp}, or NULL */
    /*
     * Incremental reading: where the last committed epoch of this step ended, as `upto` of its
     * splits gave it. (Of a checkpoint: what mr_durable.describe wrote.) Empty = there is none, and `since_text`, if not NULL, is what a person has set
     * instead (millrace watermark set): in the form of `upto_text`.
     */
    struct mr_slice since;
    const char *since_text;
    /* A stream that is to end (availableNow): read no further than this goal (mr_split_list); empty = as far as there is. */
    struct mr_slice until;
};

/* What the source knows of itself after bind. */
struct mr_source_info {
    /* NULL offline when only the catalog knows: "checked on connect" */
    const struct mr_schema *schema;
    /* records that could not be read come as batches of port 1 with this schema; NULL = they do not */
    const struct mr_schema *side;
    int64_t rows; /* estimate, -1 = unknown */
    int64_t bytes;
    /* how many readers may be open at once (connections), 0 = parallelism */
    int max_readers;
    /* lines for the plan: types read as text, splits chosen how and why */
    const char *const *notes;
    int nnotes;
    const char *location; /* for people, without secrets: "postgres://host:5432/db table users" */
    const char *details;  /* e.g. the SQL that a reader runs, for the plan */
    /*
     * Incremental reading: which guarantee holds over several runs, and why, for the plan and the
     * report: "every row exactly once: ..."; NULL = everything is read in every run.
     */
    const char *guarantee;
    /* rows may come again in a later run (an overlap): the plan wants a sink with keys, or warns */
    bool repeats;
    bool sorted; /* rows come in an order that is to be kept: splits are not interleaved */
};

/* What the plan would like the source to do; the source answers in place. */
struct mr_source_offer {
    const struct mr_predicate *const *predicates; /* joined by AND */
    enum mr_pushed *pushed;                       /* answer, one each */
    int npredicates;
    /* needed columns of info.schema (filters that stay included); NULL = all */
    const bool *columns;
    int64_t limit; /* rows wanted per split at most, -1 = all */
};

struct mr_source {
    const char *name;
    const char *doc;
    /* "postgres", "kafka", "s3": which `defaults` of the credentials file apply; or NULL */
    const char *system;
    const struct mr_option *options;
    unsigned flags;

    /* Checks options, reads catalogs (never data). *state lives until close. */
    enum mr_status (*bind)(const struct mr_source_bind *bind, void **state,
                           struct mr_source_info *info, struct mr_error *err);
    /*
     * Optional. May narrow info->schema to the needed columns (order kept). After bind, once or
     * twice: first with predicates only (columns NULL), then with the same predicates and the
     * columns still needed. The later call replaces the earlier.
     */
    enum mr_status (*offer)(void *state, struct mr_source_offer *offer, struct mr_source_info *info,
                            struct mr_error *err);
    /*
     * The splits of this run, in the order in which their rows are to be written. Fixes the
     * snapshot.
     */
    enum mr_status (*splits)(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                             struct mr_split_list *out, struct mr_error *err);
    /*
     * Optional. Known only now: rows for which this is not TRUE are not wanted (the keys of a build
     * side), NULL = all are. Between splits and the first reader of a run; a later call replaces an
     * earlier one, nobody relies on it. The predicate is over the columns of info.schema as offer
     * left it, and gone after the call.
     */
    enum mr_status (*narrow)(void *state, const struct mr_predicate *predicate,
                             struct mr_error *err);
    /*
     * Opens a reader on a split at a position (`from.size` 0 = its start). Any thread; readers are
     * independent.
     */
    enum mr_status (*reader_open)(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                  struct mr_slice from, void **reader, struct mr_error *err);
    /*
     * The next item; MR_ITEM_END once and then no further call. Waits only through runtime->waiter.
     */
    enum mr_status (*next)(void *reader, struct mr_item *out, struct mr_error *err);
    /* Where reading would go on behind the last item: a versioned byte string. */
    enum mr_status (*position)(void *reader, struct mr_bytes *out, struct mr_error *err);
    /* Also in the middle of a split: cancels what the server still does. */
    void (*reader_close)(void *reader);
    /* Optional: the epoch of this lane is committed everywhere. */
    enum mr_status (*ack)(void *state, int lane, int64_t epoch, struct mr_error *err);
    void (*close)(void *state);
};

#endif
