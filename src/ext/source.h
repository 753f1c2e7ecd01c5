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
    const char *before;    /* while it is being set: the text that is to be replaced, or NULL */
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
    const char *before_text; /* while that is being set: what it is to replace, or NULL */
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
    /*
     * The stream is shared by lanes (mr_source_group): sets of columns, each of which determines the lane of a row. Lists ended by NULL,
     * and NULL behind the last; NULL = it is not shared.
     */
    const char *const *const *lane_keys;
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

/* What has happened to the lanes of this process. */
enum mr_group_change {
    MR_GROUP_SAME,
    MR_GROUP_GIVEN,   /* these are to be read here */
    MR_GROUP_REVOKED, /* others shall read these, once they are given up */
    MR_GROUP_LOST,    /* others may be reading these already */
};
struct mr_group_news {
    enum mr_group_change change;
    const char *const *lanes; /* names ("clicks/3"), valid until the next call */
    int count;
};

/*
 * A stream that several processes share. Its lanes are read by a run each (mr_runtime.lane); who is to try which one is agreed upon by
 * the processes through the source. Nobody is kept out by that: who may commit a lane is decided by the lane's lease. One thread.
 */
struct mr_source_group {
    /* Do the options ask for it? */
    bool (*wanted)(const struct mr_options *options);
    /* Looks at the stream, and joins nobody yet. `runtime`, `options` and arena outlive the member. */
    enum mr_status (*open)(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_arena *arena, void **member, struct mr_error *err);
    /* The lanes that there were at open; *names live as long as the arena. */
    void (*lanes)(void *member, const char *const **names, int *count);
    /*
     * Where these lanes begin if nothing is remembered of them: a position as `upto` of splits. A lane that is not in it begins at its
     * first row.
     */
    enum mr_status (*begin)(void *member, struct mr_split_list *upto, struct mr_error *err);
    enum mr_status (*join)(void *member, struct mr_error *err);
    /* Readable when there may be news. */
    int (*fd)(const void *member);
    /* Never waits. Called at least every second, or the others take this process for dead. */
    enum mr_status (*next)(void *member, struct mr_group_news *out, struct mr_error *err);
    /* Nobody here reads the lanes of the last REVOKED or LOST any more. */
    enum mr_status (*given_up)(void *member, struct mr_error *err);
    /* Also without join. */
    void (*leave)(void *member);
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
    /* Optional: what the splits hold is committed everywhere. Only tells others, so it cannot fail. */
    void (*ack)(void *state);
    void (*close)(void *state);
    /* Optional, behind bind. Does it read what a load of the same system writes into this place (a topic)? */
    bool (*reads)(const void *state, const char *place);
    const struct mr_source_group *group; /* optional: several processes may share it as a stream */
};

#endif
