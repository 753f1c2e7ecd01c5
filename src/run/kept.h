/*
 * kept.h - what the operators of a stream keep from epoch to epoch: in memory, and as notes of the state.
 *
 * A kept object belongs to a step (and to one of its operators, where it stands for several). It is opened with the first plan and
 * filled from the notes of the committed epochs; each later plan is given the same objects. What has changed is saved
 * with each epoch, before it is prepared; from time to time everything is, and with that epoch's commit older notes go. After
 * a failure the objects are thrown away, and the next plan opens them anew from what is committed.
 */
#ifndef MR_RUN_KEPT_H
#define MR_RUN_KEPT_H

#include "plan/plan.h"
#include "state/state.h"

struct mr_kept;

struct mr_kept_place {
    struct mr_state *state;
    struct mr_lease *lease;
    const char *key; /* of the state; borrowed */
    const struct mr_registry *registry;
    const struct mr_runtime *runtime; /* told of each piece that is read or saved */
};

enum mr_status mr_kept_new(const struct mr_kept_place *place, struct mr_kept **out,
                           struct mr_error *err);
/* NULL is allowed. */
void mr_kept_free(struct mr_kept *kept);
/*
 * Between planning and executing an epoch: operators of the plan get their objects and clocks; an epoch begins for the
 * clocks. `committed`: the last committed epoch, 0 = none; `wall`: micros. MR_CONFIG when what is kept does not fit the steps.
 */
enum mr_status mr_kept_begin(struct mr_kept *kept, struct mr_plan *plan, int64_t committed,
                             int64_t wall, struct mr_error *err);
/* Behind the execution, before the epoch is prepared. */
enum mr_status mr_kept_save(struct mr_kept *kept, int64_t epoch, struct mr_error *err);
/* The epoch that was saved is committed. */
void mr_kept_committed(struct mr_kept *kept, int64_t epoch);
/* Since the last discard, mr_kept_begin has succeeded. */
bool mr_kept_is_open(const struct mr_kept *kept);
/* The epoch has failed, or nobody knows: the next mr_kept_begin reads what is committed. */
void mr_kept_discard(struct mr_kept *kept);
/* Is there something to be done though no rows have come? `now`: wall clock, micros. */
bool mr_kept_due(const struct mr_kept *kept, int64_t now);
/*
 * An epoch's plan is done with. True: objects were opened with it, so it and its arena are taken over, its ends closed. False: the
 * caller frees both.
 */
bool mr_kept_takes(struct mr_kept *kept, struct mr_plan *plan, struct mr_arena *arena);
/* What becomes of the notes together with a record: for mr_state_store_epoch_and. */
/*
 * --fresh: of epochs up to this one, which has no positions, nothing is kept. A mark: what was kept until then goes with the next save of
 * everything.
 */
struct mr_note_change mr_kept_forget(int64_t epoch);
/* --adopt: epochs up to this one are taken over, and what steps keep of them is not in the state. */
struct mr_note_change mr_kept_miss(int64_t epoch);
/*
 * The commit of the epoch is withdrawn: what was kept behind the epoch `before` (0 = nothing is committed) holds. Whoever had begun it,
 * and whoever withdraws it, a stream or a batch run.
 */
enum mr_status mr_kept_withdraw(struct mr_state *state, const char *key, int64_t epoch,
                                int64_t before, struct mr_note_change *out, struct mr_error *err);
/* A batch run is about to commit this epoch: a stream that keeps something misses that. */
enum mr_status mr_kept_pass_over(struct mr_state *state, struct mr_lease *lease, const char *key,
                                 int64_t epoch, struct mr_error *err);
/* Do operators of the plan keep rows? Clocks alone may begin anywhere. */
bool mr_kept_wanted(const struct mr_plan *plan);
/* Is nothing committed behind which steps would keep something? */
enum mr_status mr_kept_is_fresh(struct mr_state *state, const char *key, int64_t committed,
                                bool *fresh, struct mr_error *err);
/* Does the state have what steps of a stream keep, which belongs to its positions? */
enum mr_status mr_kept_is_any(struct mr_state *state, const char *key, int64_t committed, bool *any,
                              struct mr_error *err);
/* Has the state any note of what steps keep, or miss? */
enum mr_status mr_kept_is_known(struct mr_state *state, const char *key, bool *known,
                                struct mr_error *err);
/* What there is to say of a node between epochs. */
struct mr_kept_figures {
    int64_t watermark; /* event time, micros; MR_WATERMARK_NONE */
    bool keeps;        /* it keeps rows */
    int64_t rows;
    int64_t bytes; /* of memory */
};
/* Of the plan of the last mr_kept_begin. False: there is nothing to say. */
bool mr_kept_figures(struct mr_kept *kept, const struct mr_plan *plan, int node,
                     struct mr_kept_figures *out);

#endif
