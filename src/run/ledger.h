/*
 * ledger.h - what each target of a pipeline should hold, as the loads so far make it: counts and
 * sums, kept as notes of the state.
 *
 * One ledger for each load and target. A run counts the rows that enter its sinks; with the commit
 * of its epoch the counts are folded into the ledger by the mode of the load, and stored in a note
 * of that epoch before the record is PREPARED. Notes of earlier epochs go when it is COMMITTED.
 */
#ifndef MR_RUN_LEDGER_H
#define MR_RUN_LEDGER_H

#include "run/session.h"

/* What is known of the target. */
enum mr_ledger_scope {
    MR_LEDGER_ALL,        /* everything */
    MR_LEDGER_PARTITIONS, /* of the partitions that were written: their rows */
    MR_LEDGER_WHERE,      /* of the rows that a condition is true for: everything */
    MR_LEDGER_KEYS,       /* of some keys: their rows */
    MR_LEDGER_ROWS,       /* how many rows */
    MR_LEDGER_NONE,       /* nothing any more: `text` says why */
};

struct mr_ledger {
    const char *name;   /* of the note */
    const char *step;   /* mr_step_spec.key */
    const char *target; /* mr_ledger_target */
    enum mr_ledger_scope scope;
    const char *text;    /* WHERE: the condition; NONE, ROWS: why */
    int64_t first_epoch; /* that is in it */
    int64_t last_epoch;
    int64_t loads;
    const char *schema; /* of the rows: "id bigint, .." (mr_schema_parse) */
    const char *range;  /* column, or NULL */
    const char *const *partitions;
    int npartitions;
    const char *const *keys;
    int nkeys;
    const char *const *texts; /* JSON that no jsonb column spelt: a jsonb column changes it */
    int ntexts;
    struct mr_content *content; /* heap; ROWS: only `rows` */
};

/* Which table or path a load writes to, as text: without secrets. NULL = no memory. */
const char *mr_ledger_target(const struct mr_step_spec *step, struct mr_arena *arena);

/* What the sinks of session->plan count, by sink sequence, for mr_exec_request. NULL when the file switches it off. */
enum mr_status mr_ledger_specs(struct mr_session *session,
                               const struct mr_content_spec *const **out, struct mr_error *err);
/*
 * The ledgers as they will be once `epoch` is committed, stored under it. Before the PREPARED record; `result` gives up
 * its contents.
 */
enum mr_status mr_ledger_record(struct mr_session *session, struct mr_state *state,
                                struct mr_lease *lease, const struct mr_exec_result *result,
                                int64_t epoch, struct mr_error *err);
/* The epoch is committed: what is older is forgotten. */
enum mr_status mr_ledger_settle(struct mr_lease *lease, int64_t epoch, struct mr_error *err);
/* The epoch is given up: the ledgers of the one before hold. For mr_state_store_epoch_and. */
struct mr_note_change mr_ledger_withdraw(int64_t epoch);
/* Those of a state key, of its last epoch up to `epoch`. Their contents are the caller's (mr_content_free). */
enum mr_status mr_ledger_load(struct mr_session *session, struct mr_state *state, const char *key,
                              int64_t epoch, struct mr_ledger **out, int *count,
                              struct mr_error *err);
/* What two lanes have loaded into one target, in no order. */
enum mr_status mr_ledger_unite(struct mr_ledger *into, const struct mr_ledger *from,
                               struct mr_error *err);

#endif
