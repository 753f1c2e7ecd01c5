/*
 * reader.h - the reading half of the format contract, for writer.c where the contract is put together.
 */
#ifndef MR_FORMAT_PARQUET_READER_H
#define MR_FORMAT_PARQUET_READER_H

#include "ext/format.h"

enum mr_status mr_pq_probe(const struct mr_format_read *read, struct mr_arena *arena,
                           struct mr_file_info *info, struct mr_error *err);
enum mr_status mr_pq_read_open(const struct mr_format_read *read, const struct mr_file_range *range,
                               void **reader, struct mr_error *err);
enum mr_status mr_pq_read_next(void *reader, struct mr_batch **out, struct mr_error *err);
void mr_pq_read_close(void *reader);

#endif
