/*
 * op.h - contract: a transform, a validation, anything between source and sink.
 *
 * The plan binds an operator once; each task opens its own state and pushes batches through it. An
 * operator emits through `struct mr_emit`, zero or more batches a call, on port 0 (result) or port
 * 1 (side output: rejected rows).
 */
#ifndef MR_EXT_OP_H
#define MR_EXT_OP_H

#include "base/tz.h"
#include "ext/item.h"
#include "ext/part.h"
#include "ext/predicate.h"
#include "ext/runtime.h"

enum mr_op_flag {
    /*
     * Emits as it goes; else it is a breaker. Unless ORDERED or STATEFUL as well, what it emits depends on
     * the batch at hand (and its build side) alone: a task may be cut into parts anywhere between splits.
     */
    MR_OP_STREAMING = 1 << 0,
    MR_OP_BREAKER = 1 << 1,         /* all rows in before any comes out: see `pull` */
    MR_OP_ORDERED = 1 << 2,         /* needs all rows in split order in one task (limitRows) */
    MR_OP_TAKES_SELECTION = 1 << 3, /* push accepts batches with a selection */
    /* What it does depends on what is kept, or is seen by it: a part of a task is never left out. */
    MR_OP_STATEFUL = 1 << 4,
    MR_OP_VALIDATION = 1 << 5, /* counts per rule; a step of type validate */
    MR_OP_CROSSES =
        1 << 6, /* row-wise: filters may be moved in front when their columns pass through */
    MR_OP_BUILD_SIDE = 1 << 7, /* port 1 is read fully before port 0 begins: see `attach` */
    /* What it keeps is a struct mr_event_clock, which measures the frame that it passes on (ext/event_clock.h). */
    MR_OP_MEASURES = 1 << 8,
    /* A breaker that changes nothing but where rows are (repartition): may be done epoch by epoch. */
    MR_OP_MOVES = 1 << 9,
    /* Closes itself before its input has ended: what is in front of it may not see all rows. */
    MR_OP_STOPS = 1 << 10,
};

/* What a stream's loads want of stateful steps (docs/internals/streaming.md). */
enum mr_output_mode { MR_OUTPUT_APPEND, MR_OUTPUT_UPDATE, MR_OUTPUT_COMPLETE };

/* An input frame at bind. */
struct mr_op_input {
    const char *frame; /* registered name, or NULL for the primary frame */
    const struct mr_schema *schema;
    int64_t rows; /* estimate, -1 = unknown */
    /* Its rows go on from epoch to epoch. Else (and in batch) they are all there in every epoch. */
    bool stream;
    bool measured; /* a stream that has a watermark: runtime->clocks[port] will not be NULL */
    /*
     * The event time of withWatermark in front, in batch too: an expression over columns that may have gone since. NULL =
     * there is none, or frames with different ones met.
     */
    const char *event_time;
};

/*
 * What a step must learn from the data before its schema is known (the values of a pivot's column):
 * the distinct values of an expression over input 0. See mr_op.discover.
 */
struct mr_op_question {
    const char *expression; /* SQL, arena-owned; NULL = nothing to ask */
    int64_t limit;          /* more distinct values than that are an error, which names `option` */
    const char *option;     /* that would have spared the question: "values" */
};
struct mr_op_discovered {
    int count;
    /* as CAST(.. AS STRING) writes them, in the expression's own order; NULL, if it occurs, first */
    const char *const *values;
};

struct mr_op_bind {
    const struct mr_options *options;
    struct mr_runtime *runtime;
    struct mr_arena *arena;
    const struct mr_op_input *inputs;
    int ninputs;
    /*
     * Output columns of an earlier bind that somebody reads, at least one; NULL = all. An operator
     * that builds rows anew (a join) may leave the others out of its schema. Passing them on is
     * allowed as well.
     */
    const char *const *wanted;
    int nwanted;
    const struct mr_op_discovered *discovered; /* the answer, if the step asked; else NULL */
    bool ansi;                                 /* session, for expressions */
    const struct mr_tz *tz;
    int64_t now_micros;
    enum mr_output_mode output_mode; /* of the loads behind the step; batch: append */
};

struct mr_op_info {
    const struct mr_schema *schema; /* of port 0 */
    const struct mr_schema *side;   /* of port 1, or NULL */
    /*
     * Of what `keeper` saves; NULL = nothing is kept: then there is no kept object (in batch; where no input is a
     * stream).
     */
    const struct mr_schema *kept;
    /* A stream's: rows replace earlier ones (output mode update, complete). Sinks have to fit. */
    bool updates;
    int64_t rows;        /* estimate, -1 = unknown */
    const char *details; /* one line for the plan: "active = true AND age >= 18" */
    int partitions;      /* repartition, coalesce: wanted number of output tasks, 0 = no wish */
    bool coalesce_only;  /* partitions is an upper bound (coalesce) */
    /*
     * An operator that is one condition or one projection says so, for fusing and pushdown; else
     * NULL.
     */
    const struct mr_expr *condition;
    const struct mr_projection *projection;
    /*
     * passes[i] = input column (port 0) that output column i carries unchanged, or -1; NULL = not
     * row-wise. For pushing filters and column lists through.
     */
    const int *passes;
    /*
     * Operators with several inputs: the same for each input, passes_from[k][i] (`passes` is then
     * passes_from[0]), and reads[k][c] = the operator itself reads column c of input k. NULL = only
     * port 0, and what the options name. With both the plan reads no other columns, and binds again
     * without them: names of outputs must not depend on columns that are not in `reads`.
     */
    const int *const *passes_from;
    const bool *const *reads;
    /*
     * Operators that are not row-wise: crosses[k][i] = a filter that uses no other output columns
     * than such i, all with passes_from[k][i] >= 0, may as well stand in front of input k: the group
     * keys of an aggregate, the partition keys of a window, all columns of a sort, those of both
     * inputs of an inner join, of the preserved one of an outer join. NULL = none. (A column keeps
     * its name in that input, or the filter stays where it is.)
     */
    const bool *const *crosses;
    /*
     * Joins: columns meets[2 * i] of the first input and meets[2 * i + 1] of the second are equal in rows that meet. Rows are kept by
     * these, not by what crosses.
     */
    const int *meets;
    int nmeets;
    bool joins;
    /* Each row comes from one of the inputs (a union): such a filter goes in front of all of them. */
    bool crosses_all;
    /*
     * Breakers: partitions that can be pulled independently (at least 1). Known to the plan, so
     * that what runs behind it, and the files, never depend on timing or on how large they became.
     */
    int pulls;
    bool sorted;   /* rows of partition i come before those of i + 1, and in an order: keep it */
    bool one_task; /* port 0 must be seen by one task (a full join) */
    bool narrows;  /* BUILD_SIDE: `narrows` may have something to say */
    /*
     * Passes on only the first `limit` rows (limitRows); 0 = no such promise. Offered to sources
     * per split.
     */
    int64_t limit;
    /* Named counts for the report (rules of validations), filled during the run; or NULL. */
    struct mr_op_counts *counts;
};

/*
 * Rows that broke a rule, by rule, over all tasks. Whether a run fails is decided from the totals
 * when all rows were seen (the message and the report then never depend on timing), and before
 * anything is committed.
 */
struct mr_op_counts {
    int count;
    const char *const *names; /* arena-owned */
    atomic_int_fast64_t *values;
    atomic_int_fast64_t rows_failed; /* rows that broke at least one rule */
    int64_t limit;                   /* more failed rows than this fail the run; -1 = never */
};

struct mr_emit {
    /* Takes over the reference to the batch, also when it fails. */
    enum mr_status (*batch)(struct mr_emit *emit, int port, struct mr_batch *batch,
                            struct mr_error *err);
    /*
     * Nobody wants more: producers may stop early. An operator that will emit nothing more,
     * whatever comes, sets it itself (limitRows after its last row); the engine passes that on to
     * the left.
     */
    bool closed;
};

struct mr_durable;
struct mr_keeper;

struct mr_op {
    const char *name;
    const char *doc;
    const char *system; /* "s3" for credentials, or NULL */
    const struct mr_option *options;
    unsigned flags;
    int min_inputs;
    int max_inputs; /* INT_MAX = any number */

    /*
     * Optional. The frames that the step reads, where its options say so in another way than
     * inputDataFrames (the FROM clauses of a SELECT): arena-owned names, NULL = the primary frame;
     * none = the primary frame alone. Before any schema is known. Not called where the step has
     * inputDataFrames.
     */
    enum mr_status (*frames)(struct mr_arena *arena, const struct mr_options *options,
                             const char *const **names, int *count, struct mr_error *err);
    /*
     * Optional. The question that must be answered before `expand` or `bind` are called, which find
     * the answer in mr_op_bind.discovered. Not asked of parts. Planning with connections reads the
     * rows in front of the step for it, under the snapshot of the run; offline the step stays
     * unbound.
     */
    enum mr_status (*discover)(struct mr_arena *arena, const struct mr_options *options,
                               struct mr_op_question *out, struct mr_error *err);
    /*
     * Optional. The operators that the step stands for, given the schemas of its inputs. Called
     * before bind; with no parts the step itself is bound. Parts are not expanded again by the
     * operator that made them, but may be by their own.
     */
    enum mr_status (*expand)(const struct mr_op_bind *bind, struct mr_op_parts *out,
                             struct mr_error *err);
    /*
     * Optional, of an operator that only wishes for a number of output tasks: a breaker with the same
     * options that deals its rows out. The plan takes it where fewer splits than that are read.
     */
    const struct mr_op *exchange;
    /* Optional, of a breaker: its rows outlive the run (ext/durable.h). */
    const struct mr_durable *durable;
    /*
     * Why it can have no place in a stream, and what can: "a stream has no end at which .."; NULL = it may. Breakers that keep
     * nothing and do not MOVE rows, and build sides that are streams, are refused anyhow.
     */
    const char *batch_only;
    /* Optional: keeps something from epoch to epoch of a stream (ext/kept.h). */
    const struct mr_keeper *keeper;
    /* *plan is immutable, arena-owned and shared by all tasks. */
    enum mr_status (*bind)(const struct mr_op_bind *bind, void **plan, struct mr_op_info *info,
                           struct mr_error *err);
    enum mr_status (*open)(void *plan, struct mr_runtime *runtime, void **task,
                           struct mr_error *err);
    /* Borrows the batch. `port` is the input. */
    enum mr_status (*push)(void *task, int port, struct mr_batch *batch, struct mr_emit *emit,
                           struct mr_error *err);
    /* No more input on this port in this task. Optional. */
    enum mr_status (*finish)(void *task, int port, struct mr_emit *emit, struct mr_error *err);
    /*
     * BREAKER: each task that takes in rows (of any input) is opened, pushed, finished and then
     * kept; all are combined, in task order, into one state, which is settled, and whose partitions
     * are then pulled as the splits of another segment. BUILD_SIDE: the same for port 1 alone; tasks
     * of port 0 are opened and attached to the settled state before their first push.
     *
     * combine takes in the state of a later task of the same plan; `from` is closed afterwards. It
     * runs on one thread while nothing else of the step does: it should only hand over. Work that
     * can be shared out (tables of partitions) is left to `settle`, called for 0 <= piece < *pieces
     * on several threads at once; the first call, alone, has piece -1 and may raise *pieces from 0.
     * The runtime is the calling thread's.
     */
    enum mr_status (*combine)(void *into, void *from, struct mr_error *err);
    enum mr_status (*settle)(void *built, struct mr_runtime *runtime, int piece, int *pieces,
                             struct mr_error *err); /* optional */
    /*
     * BREAKER, optional; behind settle's first call, where memory is short: its rows wait for a segment
     * that reads them. Keeps no more than `bytes` of them in memory.
     */
    enum mr_status (*rest)(void *built, int64_t bytes, struct mr_error *err);
    enum mr_status (*attach)(void *task, const void *built, struct mr_error *err);
    /*
     * Breakers: emits the rows of one partition, 0 <= partition < op_info.pulls, on port 0; stops
     * early when emit->closed. Several threads at once, each with its own runtime; a partition may
     * be pulled more than once (its frame is read in two segments), so it changes nothing.
     */
    enum mr_status (*pull)(const void *built, struct mr_runtime *runtime, int partition,
                           struct mr_emit *emit, struct mr_error *err);
    /*
     * BUILD_SIDE, optional: what the settled state says about rows of port 0 that can find nothing
     * in it (their keys' range or list), as a predicate over port 0's columns, in `arena`; NULL =
     * nothing. A source may then read less.
     */
    enum mr_status (*narrows)(const void *built, struct mr_arena *arena,
                              const struct mr_predicate **out, struct mr_error *err);
    void (*close)(void *task);
    /* Optional: frees what bind made outside of the arena. */
    void (*unbind)(void *plan);
};

#endif
