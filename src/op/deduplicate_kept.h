/*
 * deduplicate_kept.h - the keys that a stream's deduplicate knows: what deduplicate_stream.c and deduplicate_kept.c share.
 */
#ifndef MR_OP_DEDUPLICATE_KEPT_H
#define MR_OP_DEDUPLICATE_KEPT_H

#include "op/dedup.h"

#include "ext/event_clock.h"
#include "ext/spill_log.h"

/* Keys in a file, with their times. */
struct mr_dedup_stored {
    struct mr_spilled rows; /* of plan->kept */
    int64_t most;           /* the latest time */
    bool saved;
};

struct mr_dedup_part {
    struct mr_group_table *table;
    int64_t *times; /* by group; of no time: MR_WATERMARK_NONE */
    uint8_t *flags; /* by group */
    int64_t capacity;
    uint32_t *changed; /* groups that are not saved */
    int64_t nchanged, changed_capacity;
    int64_t recalled; /* groups that are stored, too */
    int64_t swept;    /* the watermark at which forgotten keys were last counted */
    int64_t charged;  /* bytes, of what is not the table's */
    struct mr_dedup_stored *stored;
    int nstored, stored_capacity;
};

struct mr_dedup_kept {
    const struct mr_dedup_plan *plan; /* the first epoch's */
    struct mr_runtime runtime;        /* a copy */
    struct mr_spill_log *log;
    int64_t limit; /* bytes in memory, of one partition */
    int64_t piece; /* bytes of keys that are stored together, about */
    struct mr_dedup_part parts[MR_DEDUP_PARTITIONS];
};

/* Keys of some rows, hashed; groups once they are entered. */
struct mr_dedup_rows {
    struct mr_column **keys; /* then hashes and groups, one piece of memory */
    uint64_t *hashes;
    uint32_t *groups;
};
enum mr_status mr_dedup_rows_init(struct mr_dedup_rows *rows, int nkeys,
                                  struct mr_column *const *keys, int64_t count,
                                  struct mr_error *err);
void mr_dedup_rows_reset(struct mr_dedup_rows *rows);

/* Sets rows->groups; keys that are new have no time. */
enum mr_status mr_dedup_part_enter(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                   struct mr_dedup_rows *rows, int64_t count, struct mr_error *err);
/* The row of this time is the one of its key. */
enum mr_status mr_dedup_part_take(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                  uint32_t group, int64_t time, struct mr_error *err);
/* Groups from `from` on that are stored, and not forgotten, get their times. */
enum mr_status mr_dedup_part_recall(const struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                    int64_t from, int64_t before, struct mr_runtime *runtime,
                                    struct mr_error *err);
int64_t mr_dedup_part_bytes(const struct mr_dedup_part *part);
/* Stores the keys of a partition that holds more than its limit. `runtime` counts what is written. */
enum mr_status mr_dedup_part_shrink(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                    int64_t before, struct mr_runtime *runtime,
                                    struct mr_error *err);
/* Lets go of what is forgotten, between epochs. */
enum mr_status mr_dedup_part_sweep(struct mr_dedup_kept *kept, struct mr_dedup_part *part,
                                   int64_t before, struct mr_error *err);

#endif
