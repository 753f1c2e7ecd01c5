/*
 * sink.h - contract: something that rows are written to, in two phases.
 *
 * writer_open .. writer_finish stages rows where no reader looks; prepare makes one token of all
 * committables; the engine records the token durably (PREPARED); commit makes the rows visible,
 * idempotently. commit, recover and abort work in a fresh process given only the options and the
 * token.
 */
#ifndef MR_EXT_SINK_H
#define MR_EXT_SINK_H

#include "ext/item.h"
#include "ext/part.h"
#include "ext/runtime.h"

enum mr_sink_kinds { /* which changelogs it can take */
                     MR_SINK_APPEND = 1 << 0,
                     MR_SINK_UPSERT = 1 << 1,
                     MR_SINK_COMPLETE = 1 << 2,
};

struct mr_sink_bind {
    const struct mr_options *options;
    struct mr_runtime *runtime;
    struct mr_arena *arena;
    const struct mr_schema *schema; /* NULL offline when it is not known */
    int64_t rows;                   /* estimate, -1 = unknown */
    int64_t bytes;
    const char *step; /* "step 4 (toS3)": part of deterministic names through `sequence` */
    int sequence;     /* number of the sink in the pipeline, from 0 */
};

struct mr_sink_info {
    unsigned kinds;
    int tasks;                /* wished number of writers, 0 = no wish, 1 = only one */
    int64_t small_bytes;      /* fewer are best left to one writer; 0 = as for files */
    const char *location;     /* for people: "file:///data/out (parquet, snappy)" */
    const char *const *notes; /* for the plan: predicted files, small-file warning */
    int nnotes;
    bool skip;    /* mode ignore and the target exists: nothing to do */
    bool missing; /* there is no such table: the load makes it (see mr_recovered.missing) */
    /*
     * Hash of what the committables of writers depend on besides options and schema (the metadata of
     * a table): with another one, rows that an earlier run staged are of no use.
     */
    uint64_t basis;
    /*
     * What was staged is in this transaction, which dies with the process: in another one commit finds it committed or refuses, and the epoch is
     * withdrawn. Loads of a pipeline with the same text are one transaction, and commit before all others, which outlive the
     * process; two different ones cannot be in one pipeline, nor one in a job in parts. NULL: it outlives the process.
     */
    const char *transaction;
};

/* What a target itself remembers of a lane of this pipeline (stateKey). */
struct mr_recovered {
    /*
     * Asked for: the number of the sink (mr_sink_bind.sequence), set by the caller. Answered with another one: the target does
     * not know this load but that one of the pipeline, whose loads were changed.
     */
    int load;
    int64_t epoch; /* the last that was committed, 0 = none, or the target keeps no such memory */
    struct mr_bytes positions; /* stored with it; made and reset by the caller */
    /*
     * The token of that epoch when its commit was begun and may not have ended: before anything goes on from it it is to be
     * committed or aborted. Made and reset by the caller.
     */
    struct mr_bytes unfinished;
    /*
     * Identity of the state (mr_state_uuid) that wrote it, "" = not kept. Another than
     * runtime->state_uuid means that the state was lost or copied: run/ stops and names --adopt
     * and --fresh.
     */
    char state_uuid[33];
    uint64_t run; /* mr_run_mark of the run that made the epoch, 0 = not kept */
    bool
        missing; /* there is no such table, whatever is remembered; of files that is nothing strange */
    /* a repeated epoch would bring its rows twice (append); false: it may begin anew (overwrite, upsert) */
    bool adds;
};

enum mr_sink_flag {
    /*
     * commit does all or nothing: when it fails, and not with class unknown or fatal, the target is
     * as it was, and the epoch can be given up. Class refused says so in any process, also in one that
     * did not make the token: the target was asked, under what keeps others from committing it.
     */
    MR_SINK_ATOMIC = 1 << 0,
};

/* Of one epoch: identity and the positions to be stored with it. */
struct mr_epoch {
    int lane;
    int64_t epoch;
    struct mr_slice positions; /* of the source; opaque */
};

/* A committable of an unfinished run that another one would go on with: see `sweep`. */
struct mr_sink_kept {
    struct mr_slice committable;
    /* of this sink; else of another one with the same implementation, which may share its place */
    bool own;
    bool whole; /* own: is all of it still there? Set by sweep; if not, it is discarded as well */
};

struct mr_sink {
    const char *name;
    const char *doc;
    const char *system; /* "postgres", "kafka", "s3" for credentials, or NULL */
    const struct mr_option *options;
    unsigned flags; /* enum mr_sink_flag */

    /*
     * Optional. What stands between the frame and the sink: operators, and scans of the target,
     * whose last part gives the sink its rows (merge: the target's rows that a key of the frame
     * matches, found by the plan's own join). Called before bind when the frame's schema is known,
     * never offline. *options: what the sink is then bound with, instead of bind->options (with
     * INTERNAL options set), or left as it is.
     */
    enum mr_status (*expand)(const struct mr_sink_bind *bind, struct mr_op_parts *out,
                             const struct mr_options **options, struct mr_error *err);
    enum mr_status (*bind)(const struct mr_sink_bind *bind, void **state, struct mr_sink_info *info,
                           struct mr_error *err);
    /* `task` is a number from 0, the same in every run of the same plan: names derive from it. */
    enum mr_status (*writer_open)(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, int task, void **writer,
                                  struct mr_error *err);
    /* Borrows the batch (no selection). */
    enum mr_status (*write)(void *writer, struct mr_batch *batch, struct mr_error *err);
    /*
     * Asks the writer to give back memory (flush early); optional. Returns freed bytes through the
     * account.
     */
    enum mr_status (*relieve)(void *writer, int64_t bytes, struct mr_error *err);
    /*
     * Bytes of batches after which finishing this writer and going on in another costs nothing worth
     * mentioning (small files); optional: never.
     */
    int64_t (*part_bytes)(void *writer);
    /* Seals what was staged, durably, and describes it: a versioned byte string. */
    enum mr_status (*writer_finish)(void *writer, struct mr_bytes *committable,
                                    struct mr_error *err);
    /*
     * Always called, after finish or after a failure: without finish the staged data is discarded.
     */
    void (*writer_close)(void *writer);
    /* All committables of one epoch -> one token. Nothing is visible yet. */
    enum mr_status (*prepare)(void *state, struct mr_runtime *runtime, const struct mr_epoch *epoch,
                              const struct mr_slice *committables, int ncommittables,
                              struct mr_bytes *token, struct mr_error *err);
    /*
     * Where the target has this epoch of this state by another run: class refused. A later one: done if it can tell, else class
     * superseded (mr_sink_overtaken). Neither changes anything.
     */
    enum mr_status (*commit)(const struct mr_options *options, struct mr_runtime *runtime,
                             struct mr_slice token, struct mr_error *err);
    /*
     * Optional. After the COMMITTED record of the epoch of this token: puts the target into a better shape without changing its rows, if there is
     * something to do. May be left out, stopped or repeated at any moment; a failure is a warning, and the epoch after the next tries again.
     */
    enum mr_status (*tidy)(const struct mr_options *options, struct mr_runtime *runtime,
                           struct mr_slice token, struct mr_error *err);
    /* What the target knows of this lane: see mr_recovered. */
    enum mr_status (*recover)(const struct mr_options *options, struct mr_runtime *runtime,
                              int lane, struct mr_recovered *out, struct mr_error *err);
    /*
     * Discards what a token (or, with an empty token, a dead run of this pipeline's state) left
     * staged; runtime->state_uuid NULL: of any state of the pipeline, where names tell.
     */
    enum mr_status (*abort)(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_slice token, struct mr_error *err);
    /*
     * Discards what a dead run of this pipeline left staged, except what these committables describe,
     * after which it can be committed. NULL: what was staged is of no use to another run.
     */
    enum mr_status (*sweep)(const struct mr_options *options, struct mr_runtime *runtime,
                            struct mr_sink_kept *kept, int nkept, struct mr_error *err);
    void (*close)(void *state);
};

/*
 * The target has `theirs`, an epoch of the same state that another run made: ours or a later one. Class refused where the target proves
 * that ours never happened and never will, superseded where it cannot.
 */
enum mr_status mr_sink_overtaken(const char *target, int64_t ours, int64_t theirs,
                                 enum mr_error_class cls, struct mr_error *err);

#endif
