/*
 * resume.h - parts of an unfinished run that the next one need not do again.
 *
 * While a run works it leaves a note in the state for each part of a task that was sealed (exec/part.c). The next start whose plan
 * would do the same work with the same input goes on with those parts; else it begins anew, and says why.
 */
#ifndef MR_RUN_RESUME_H
#define MR_RUN_RESUME_H

#include "run/run.h"

/* A part as its note has it. */
struct mr_resume_part {
    struct mr_exec_part part;
    const char *name; /* of its note */
    const char *run_id;
    bool lost; /* what it had staged is not there any more */
};

/* What parts depend on, piece by piece, so that a difference can be named. */
struct mr_resume_basis {
    const char *text; /* lines: what | hash | name for people */
    uint64_t hash;    /* of the text */
};

struct mr_resume {
    struct mr_session *session;
    struct mr_state *state;
    struct mr_lease *lease;
    int64_t epoch;      /* of the run at hand */
    const char *run_id; /* of the unfinished run, or NULL */
    const char
        *reason; /* why nothing of it is kept; NULL = parts are kept, or there is no such run */
    const char *obstacle;         /* why the plan can leave nothing to another run, or NULL */
    struct mr_resume_basis basis; /* of this plan */
    bool found;                   /* notes of the unfinished run */
    struct mr_resume_basis before;
    int nparts;
    struct mr_resume_part *parts;
    int splits; /* kept */
    int64_t rows;
    struct mr_exec_resume exec;
    pthread_mutex_t lock;
    struct mr_bytes *sealed; /* lock: notes of this run */
    int nsealed;             /* lock */
    int capacity;            /* lock */
    bool begun;              /* lock: the basis is in the state */
};

void mr_resume_init(struct mr_resume *resume, struct mr_session *session);
void mr_resume_reset(struct mr_resume *resume);

/*
 * Under the lease, before the plan: is there an unfinished run, and what did it leave? The session then plans for
 * that run's instant. `last` is the lane's record.
 */
enum mr_status mr_resume_find(struct mr_resume *resume, struct mr_state *state,
                              struct mr_lease *lease, const struct mr_epoch_record *last,
                              struct mr_error *err);
/*
 * With the plan: what of it may be kept. *again: nothing, and the plan was made for the instant of the other run.
 * `epoch` is the number of this run's.
 */
enum mr_status mr_resume_match(struct mr_resume *resume, const struct mr_run_options *options,
                               int64_t epoch, bool *again, struct mr_error *err);
/* Discards what dead runs left staged, but for the parts that are kept; those that are not there any more are not. */
enum mr_status mr_resume_sweep(struct mr_resume *resume, struct mr_error *err);
/* The run has failed: what it sealed stays for the next one, if that can help it. The rest goes. */
void mr_resume_leave(struct mr_resume *resume, enum mr_status status,
                     const struct mr_error *failure);
/* The epoch is committed: the notes of this run and of those before it go. */
enum mr_status mr_resume_committed(struct mr_resume *resume, struct mr_error *err);
/* Nothing of the epochs up to this one is kept any more. */
enum mr_status mr_resume_forget(struct mr_resume *resume, int64_t upto, struct mr_error *err);

/* resume_plan.c: what the plan lets be sealed (exec.sealing, obstacle), and what that depends on (basis). */
enum mr_status mr_resume_judge(struct mr_resume *resume, const struct mr_run_options *options,
                               struct mr_error *err);
/* What is first different in two bases, for people: "the input of step 1 (fromFile) has changed". */
const char *mr_resume_difference(struct mr_resume *resume);

/* resume_note.c: notes as bytes. Reading: false when they are of another version, or do not fit the plan. */
void mr_resume_note_write(const struct mr_plan *plan, const struct mr_exec_part *part,
                          uint64_t basis, const char *run_id, struct mr_bytes *out);
bool mr_resume_note_read(const struct mr_plan *plan, struct mr_slice bytes, uint64_t basis,
                         struct mr_arena *arena, struct mr_resume_part *out);

#endif
