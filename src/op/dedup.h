/*
 * dedup.h - what the files of deduplicate share.
 */
#ifndef MR_OP_DEDUP_H
#define MR_OP_DEDUP_H

#include "col/group_table.h"
#include "ext/kept.h"
#include "ext/spill.h"
#include "op/append.h"
#include "op/sorter.h"

#define MR_DEDUP_BITS       6
#define MR_DEDUP_PARTITIONS (1 << MR_DEDUP_BITS)

enum mr_dedup_keep { MR_DEDUP_FIRST, MR_DEDUP_LAST, MR_DEDUP_UNIQUE };

struct mr_dedup_plan {
    struct mr_op_appended appended;
    const struct mr_schema *schema;
    int nkeys;
    int *keys; /* columns of the appended schema */
    const struct mr_type **types;
    bool ordered;
    enum mr_dedup_keep keep;
    struct mr_sorter_plan sorter; /* by keys, then the order */
    int pulls;
    int time;                     /* of a stream: the column of the event time, or -1 */
    const struct mr_schema *kept; /* of a stream: keys and the event time */
};

/* The option of a part that mr_dedup_expand makes. */
extern const struct mr_option mr_dedup_options[];
extern const struct mr_option mr_dedup_part_options[];

/* ---- deduplicate_stream.c, deduplicate_kept.c: keys that earlier epochs have seen */

enum mr_status mr_dedup_expand(const struct mr_op_bind *bind, struct mr_op_parts *out,
                               struct mr_error *err);
/* Sets plan->time and ->kept, or refuses what a stream cannot have. Before mr_op_append_finish. */
enum mr_status mr_dedup_bind_stream(struct mr_dedup_plan *plan, const struct mr_op_bind *bind,
                                    struct mr_error *err);
/* Which rows of a spill's partition have a key that is new: a bit for each, in order. */
struct mr_dedup_fresh {
    uint8_t *bits;
};
/*
 * Takes the keys of partition `partition` into the kept object. One thread a partition; any number of partitions at once.
 */
enum mr_status mr_dedup_remember(const struct mr_dedup_plan *plan, struct mr_spill *spill,
                                 struct mr_runtime *runtime, int partition,
                                 struct mr_dedup_fresh *out, struct mr_error *err);

extern const struct mr_keeper mr_dedup_keeper;

#endif
