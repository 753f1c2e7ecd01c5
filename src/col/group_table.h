/*
 * group_table.h - distinct rows of key columns, numbered in the order of their first appearance.
 *
 * What aggregation, DISTINCT, deduplication and joins share: each maps a row's keys to the number of
 * its group and keeps what it needs by number. Equality is that of mr_column_equal_rows (NULL equals
 * NULL, NaN equals NaN). Keys lie packed, row by row; equal keys of any encoding get equal numbers.
 * All memory is charged to the account given. One thread writes; finding is for any number of
 * threads once nobody writes.
 */
#ifndef MR_COL_GROUP_TABLE_H
#define MR_COL_GROUP_TABLE_H

#include "col/kernel.h"

struct mr_group_table;

/* `types` of the key columns, any type; ntypes 0 = all rows are one group. They outlive the table. */
enum mr_status mr_group_table_new(struct mr_memory *memory, const struct mr_type *const *types,
                                  int ntypes, struct mr_group_table **out, struct mr_error *err);
/* NULL is allowed. */
void mr_group_table_free(struct mr_group_table *table);
/* No groups; the memory stays for the next ones, but that of long texts. */
void mr_group_table_clear(struct mr_group_table *table);
/*
 * groups[i] = number of the group of row rows[i] (rows NULL: row i), for 0 <= i < count; new groups
 * get the next numbers. hashes[i] is mr_column_hash over the key columns, in order, from 0, where the
 * caller has them for partitioning; NULL, for all calls of a table or for none: the table hashes the packed keys, which
 * is cheaper, by a function of its own. After MR_LIMIT or MR_NOMEM the table is as before the
 * call or contains some of the rows: nothing else is lost.
 */
enum mr_status mr_group_table_put(struct mr_group_table *table, struct mr_column *const *keys,
                                  const int32_t *rows, int64_t count, const uint64_t *hashes,
                                  uint32_t *groups, struct mr_error *err);
/* The same without adding: MR_GROUP_NONE where there is none. Changes nothing. */
#define MR_GROUP_NONE UINT32_MAX
enum mr_status mr_group_table_find(const struct mr_group_table *table,
                                   struct mr_column *const *keys, const int32_t *rows,
                                   int64_t count, const uint64_t *hashes, uint32_t *groups,
                                   struct mr_error *err);
int64_t mr_group_table_count(const struct mr_group_table *table);
/* The key columns of groups[i] (NULL: groups from .. from + count - 1); `out` has room for ntypes. */
enum mr_status mr_group_table_keys(const struct mr_group_table *table, struct mr_memory *memory,
                                   const uint32_t *groups, int64_t from, int64_t count,
                                   struct mr_column **out, struct mr_error *err);
/* The hashes given to put, by group. */
const uint64_t *mr_group_table_hashes(const struct mr_group_table *table);
/* Bytes charged. */
int64_t mr_group_table_bytes(const struct mr_group_table *table);

#endif
