/*
 * log_write.h - actions, paths, values and statistics as the texts of the log.
 *
 * Failures (memory, limits) stay in the mr_bytes and are asked for once, at its end.
 */
#ifndef MR_CONNECT_DELTA_LOG_WRITE_H
#define MR_CONNECT_DELTA_LOG_WRITE_H

#include "connect/delta/table.h"
#include "ext/format.h"

/* One line each, newline included. */
void delta_put_protocol(struct mr_bytes *out, const struct delta_protocol *protocol);
void delta_put_metadata(struct mr_bytes *out, const struct delta_metadata *metadata);
void delta_put_txn(struct mr_bytes *out, const struct delta_txn *txn);
/* `metadata` names the partition columns that the file's values belong to. */
void delta_put_add(struct mr_bytes *out, const struct delta_file *file,
                   const struct delta_metadata *metadata, bool data_change);
void delta_put_remove(struct mr_bytes *out, const struct delta_file *file,
                      const struct delta_metadata *metadata, bool data_change,
                      int64_t deleted_millis);
/* {"name":"value",...}; a value NULL is JSON null. */
void delta_put_pairs(struct mr_bytes *out, const struct delta_pair *pairs, int count);
void delta_put_string(struct mr_bytes *out, const char *text);

/* Name of a column in files, statistics and partition values. */
const char *delta_physical_name(const struct delta_metadata *metadata, int column);

/*
 * A path as the log spells it: each byte that is not a letter, a digit or one of -_.~/=!$&'()*+,;@ as
 * %XX. A file on disk whose name has %3A in it (Hive's escape of a colon) has %253A in the log.
 */
void delta_put_path(struct mr_bytes *out, const char *path);
/* The text of a partition value; false = null (NULL, and the empty string that reads as NULL). */
bool delta_put_partition_value(struct mr_bytes *out, const struct mr_value *value);

/*
 * Statistics of a file as the JSON text of add.stats. Leaves are those of the schema of the files
 * (no partition columns). Which columns: delta.dataSkippingStatsColumns, else the first
 * delta.dataSkippingNumIndexedCols (32) leaves.
 */
enum mr_status delta_put_stats(struct mr_bytes *out, const struct delta_metadata *metadata,
                               const struct mr_file_statistics *statistics, struct mr_error *err);
/*
 * The bound of a text in statistics: at most 32 characters. A maximum that is cut gets one character
 * more, which is greater than whatever was cut off; false when there is none.
 */
bool delta_put_text_bound(struct mr_bytes *out, struct mr_slice text, bool maximum);

#endif
