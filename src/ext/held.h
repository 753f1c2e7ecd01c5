/*
 * held.h - static frames that the process of a stream holds from epoch to epoch (`refresh` of a join).
 *
 * The session owns the list, since rows outlive the plan that read them. What is held points into no plan: rows are packed, the schema is a
 * copy, the account is the list's. Planning finds a frame that is still fresh and puts `source` in the place of what would read it; else `op`
 * stands there, passes rows on, and gathers them into the reading at hand, which counts once the epoch has run to its end.
 */
#ifndef MR_EXT_HELD_H
#define MR_EXT_HELD_H

#include "base/alloc.h"
#include "base/arena.h"
#include "col/batch.h"

#include <pthread.h>

struct mr_held_block {
    struct mr_buffer *packed; /* col/pack.h */
    int64_t rows;
};

/* The rows of one reading. */
struct mr_held_rows {
    struct mr_arena arena;
    const struct mr_schema *schema;
    const char *event_time; /* as mr_op_input has it, or NULL */
    struct mr_held_block *blocks;
    int nblocks;
    int capacity;
    int64_t rows;
    int64_t bytes;
    int64_t read_at; /* monotonic: when the epoch that read them began */
    bool opened;     /* somebody gathers rows */
    bool cut;        /* not all of them were wanted */
};

struct mr_held_frame {
    struct mr_held_frame *next;
    struct mr_memory memory;
    pthread_mutex_t lock;         /* of `reading` */
    struct mr_held_rows *rows;    /* NULL = there are none */
    struct mr_held_rows *reading; /* of the epoch at hand, or NULL */
    int input;
    char *label; /* of the step, for the account */
    char step[]; /* mr_step_spec.key */
};

struct mr_held_list {
    struct mr_held_frame *first;
    struct mr_memory *memory; /* the session's */
    struct mr_memory held;    /* of all frames: half of it at most, set up with the first of them */
    int64_t now;              /* monotonic: when the epoch at hand began */
};

/* What the registry has for it. Both take the options mr_held_options. */
struct mr_op;
struct mr_source;
struct mr_holder {
    const struct mr_op *op;
    const struct mr_source *source;
    const struct mr_option *options; /* step, input */
};

/* The frame that this input of the step reads; made if there is none. */
enum mr_status mr_held_frame(struct mr_held_list *list, const char *step, int input,
                             const char *label, struct mr_held_frame **out, struct mr_error *err);
/* NULL when there is none; `list` may be NULL. */
struct mr_held_frame *mr_held_find(const struct mr_held_list *list, const char *step, int input);
/* Its rows, if they were read less than `refresh` ago; others go, and it is NULL. */
const struct mr_held_rows *mr_held_fresh(const struct mr_held_list *list,
                                         struct mr_held_frame *frame, int64_t refresh);
/* A reading begins; an earlier one that was not settled goes. Planning, one thread. */
enum mr_status mr_held_begin(struct mr_held_frame *frame, const struct mr_schema *schema,
                             const char *event_time, struct mr_error *err);
/* Any thread. The batch has no selection. MR_LIMIT: it does not fit. */
enum mr_status mr_held_add(struct mr_held_frame *frame, const struct mr_batch *batch,
                           struct mr_error *err);
/* The epoch has run: what it has read in full is what there is from now on. */
void mr_held_settle(struct mr_held_list *list);
/* It has failed: what it has read goes. */
void mr_held_discard(struct mr_held_list *list);
/* Bytes that the readings at hand may still take: what else the epoch does must leave them. `list` may be NULL. */
int64_t mr_held_reserve(const struct mr_held_list *list);
void mr_held_reset(struct mr_held_list *list);

#endif
