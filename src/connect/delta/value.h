/*
 * value.h - texts of the log as values: partition values and bounds of statistics.
 */
#ifndef MR_CONNECT_DELTA_VALUE_H
#define MR_CONNECT_DELTA_VALUE_H

#include "base/tz.h"
#include "connect/delta/table.h"
#include "enc/json_tree.h"
#include "ext/prune.h"

/*
 * The value that a partition value's text means for a column of this type; NULL or '' is NULL.
 * Texts of instants without a zone are in `tz` (NULL = UTC). Bytes are borrowed from `text`. False:
 * the text is none of the type.
 */
bool delta_value_parse(const struct mr_type *type, const char *text, const struct mr_tz *tz,
                       struct mr_value *out);

/* What the log knows of the columns of one file after another. */
struct delta_statistics;
enum mr_status delta_statistics_new(const struct delta_metadata *metadata, const struct mr_tz *tz,
                                    struct delta_statistics **out, struct mr_error *err);
void delta_statistics_free(struct delta_statistics *statistics);
/* Goes to a file. What is asked then is valid until the next one. */
void delta_statistics_file(struct delta_statistics *statistics, const struct delta_file *file);
/* numRecords less what the vector takes out, -1 = unknown. */
int64_t delta_statistics_rows(const struct delta_statistics *statistics);
/* Column of metadata.schema; fits mr_prune_part.column. */
void delta_statistics_column(void *statistics, int column, struct mr_part_column *out);

/* Does the condition speak of partition columns only? */
bool delta_by_partition(const struct delta_metadata *metadata,
                        const struct mr_predicate *predicate);
/* Number of a column of the schema among the partition columns, -1 = none of them. */
int delta_partition_index(const struct delta_metadata *metadata, int column);

#endif
