/*
 * spill.h - rows kept aside: in memory up to a limit, beyond it in compressed temporary files.
 *
 * What breakers are made of. A spill holds the rows of one schema in numbered partitions, each a
 * list of chunks (batches) in the order of adding. One thread adds; chunks can then be read by any
 * number of threads at once, any number of times. Files have no name (they are unlinked as soon as
 * they are open), so that a killed process leaves nothing behind; each chunk carries a checksum.
 * Spilled bytes are counted in MR_COUNT_SPILL_BYTES.
 */
#ifndef MR_EXT_SPILL_H
#define MR_EXT_SPILL_H

#include "col/batch.h"
#include "ext/runtime.h"

struct mr_spill;

/* Partition of a hash among 2^bits: its highest bits (group tables use the lowest). */
static inline uint32_t mr_spill_partition(uint64_t hash, int bits)
{
    return bits == 0 ? 0 : (uint32_t)(hash >> (64 - bits));
}

/*
 * `limit`: bytes that may stay in memory (runtime->share, or a part of it); INT64_MAX = never write.
 * The schema outlives it. Charged to the account of `runtime`, which is copied.
 */
enum mr_status mr_spill_new(struct mr_runtime *runtime, const struct mr_schema *schema,
                            int npartitions, int64_t limit, struct mr_spill **out,
                            struct mr_error *err);
/* NULL is allowed. */
void mr_spill_free(struct mr_spill *spill);
/* Appends a batch (a reference is taken; no selection) as one chunk. */
enum mr_status mr_spill_add(struct mr_spill *spill, int partition, struct mr_batch *batch,
                            struct mr_error *err);
/*
 * Appends row rows[i] (NULL: row i) to partition partitions[i], for 0 <= i < count, in order. Small
 * pieces are gathered into chunks of several thousand rows; mr_spill_flush ends them.
 */
enum mr_status mr_spill_scatter(struct mr_spill *spill, const struct mr_batch *batch,
                                const int32_t *rows, const uint32_t *partitions, int64_t count,
                                struct mr_error *err);
/* No more scattered rows for now: they become chunks. Before reading and absorbing. */
enum mr_status mr_spill_flush(struct mr_spill *spill, struct mr_error *err);
/* Writes resident chunks of one partition (-1: of all) to the file. */
enum mr_status mr_spill_write(struct mr_spill *spill, int partition, struct mr_error *err);
/* From now on so many bytes may stay in memory; writes what is more. */
enum mr_status mr_spill_limit(struct mr_spill *spill, int64_t limit, struct mr_error *err);
/* The chunks of `from` (same schema and partitions) behind those of `into`; `from` is left empty. */
enum mr_status mr_spill_absorb(struct mr_spill *into, struct mr_spill *from, struct mr_error *err);

/* Lets go of the rows of a partition: it is empty afterwards. Several threads may drop different partitions at once. */
void mr_spill_drop(struct mr_spill *spill, int partition);

int mr_spill_partitions(const struct mr_spill *spill);
int64_t mr_spill_rows(const struct mr_spill *spill, int partition);
/* Bytes that the rows of a partition take in memory, resident or not. */
int64_t mr_spill_bytes(const struct mr_spill *spill, int partition);
/* Bytes in memory now, of all partitions. */
int64_t mr_spill_resident(const struct mr_spill *spill);
/* Has anything of the partition been written to a file? */
bool mr_spill_written(const struct mr_spill *spill, int partition);

int mr_spill_chunks(const struct mr_spill *spill, int partition);
int64_t mr_spill_chunk_rows(const struct mr_spill *spill, int partition, int chunk);
/* A new reference to a chunk; what is read back is charged to `runtime`, the reading thread's. */
enum mr_status mr_spill_chunk(const struct mr_spill *spill, struct mr_runtime *runtime,
                              int partition, int chunk, struct mr_batch **out,
                              struct mr_error *err);
/* Chunks from *chunk (there is one) on, about `bytes` of them and at least one, as one batch. *chunk is behind them then. */
enum mr_status mr_spill_block(const struct mr_spill *spill, struct mr_runtime *runtime,
                              int partition, int64_t bytes, int *chunk, struct mr_batch **out,
                              struct mr_error *err);

#endif
