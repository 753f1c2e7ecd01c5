/*
 * conflict.h - may a change still be committed behind a commit that it did not know of?
 */
#ifndef MR_CONNECT_DELTA_CONFLICT_H
#define MR_CONNECT_DELTA_CONFLICT_H

#include "connect/delta/commit.h"

/*
 * MR_OK: yes, or (*already) there is nothing left to do, because the winner has our txn. MR_SINK,
 * class refused: no, naming both; or the winner is of a copy of our state; class fatal: the winner is a later life of ourselves.
 */
enum mr_status delta_conflict_check(const struct delta_table *table,
                                    const struct delta_snapshot *snapshot,
                                    const struct delta_change *change,
                                    const struct delta_commit *winner, struct mr_arena *arena,
                                    bool *already, struct mr_error *err);
/* Is it the same table to a writer: fields, partition columns, properties? */
bool delta_metadata_same(const struct delta_metadata *a, const struct delta_metadata *b);

#endif
