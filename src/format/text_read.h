/*
 * text_read.h - the reading halves of the text formats, for their tables in csv.c and json.c.
 */
#ifndef MR_FORMAT_TEXT_READ_H
#define MR_FORMAT_TEXT_READ_H

#include "ext/format.h"

enum mr_status mr_csv_probe(const struct mr_format_read *read, struct mr_arena *arena,
                            struct mr_file_info *info, struct mr_error *err);
enum mr_status mr_csv_read_open(const struct mr_format_read *read,
                                const struct mr_file_range *range, void **out,
                                struct mr_error *err);
enum mr_status mr_csv_read_next(void *reader, struct mr_batch **out, struct mr_error *err);
void mr_csv_read_close(void *reader);

enum mr_status mr_json_probe(const struct mr_format_read *read, struct mr_arena *arena,
                             struct mr_file_info *info, struct mr_error *err);
enum mr_status mr_json_read_open(const struct mr_format_read *read,
                                 const struct mr_file_range *range, void **out,
                                 struct mr_error *err);
enum mr_status mr_json_read_next(void *reader, struct mr_batch **out, struct mr_error *err);
void mr_json_read_close(void *reader);

#endif
