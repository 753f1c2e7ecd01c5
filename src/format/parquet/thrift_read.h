/*
 * thrift_read.h - reads Thrift's compact protocol from bytes that may be anything.
 *
 * After the first thing that cannot be, `bad` is set, zeroes come back and no field follows, so that callers
 * check once, at the end.
 */
#ifndef MR_FORMAT_PARQUET_THRIFT_READ_H
#define MR_FORMAT_PARQUET_THRIFT_READ_H

#include "format/parquet/thrift.h"

struct mr_thrift_in {
    const uint8_t *at;
    const uint8_t *end;
    int depth; /* of what is being skipped */
    bool bad;
    bool cut; /* bad because the bytes ended: more of them may make it good */
};

/* The field at hand while a struct is read. Start with {0}. */
struct mr_thrift_field {
    int16_t id;
    enum mr_thrift_type type;
};

void mr_thrift_in_init(struct mr_thrift_in *in, const void *data, size_t size);
/* The next field of the open struct; false at its end. Its value must be read or skipped. */
bool mr_thrift_in_field(struct mr_thrift_in *in, struct mr_thrift_field *field);
/* The value of the field, of any integer width (0 and skipped if it is something else). */
int64_t mr_thrift_in_int(struct mr_thrift_in *in, const struct mr_thrift_field *field);
bool mr_thrift_in_bool(struct mr_thrift_in *in, const struct mr_thrift_field *field);
/* Borrowed. */
struct mr_slice mr_thrift_in_bytes(struct mr_thrift_in *in, const struct mr_thrift_field *field);
/* Starts a list of elements of `element`; its count is no more than the bytes that are left. */
size_t mr_thrift_in_list(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                         enum mr_thrift_type element);
/* Elements of a list. */
int64_t mr_thrift_in_item_int(struct mr_thrift_in *in);
bool mr_thrift_in_item_bool(struct mr_thrift_in *in);
struct mr_slice mr_thrift_in_item_bytes(struct mr_thrift_in *in);
/* Is it a struct, whose fields follow? Skips it if not. */
bool mr_thrift_in_struct(struct mr_thrift_in *in, const struct mr_thrift_field *field);
void mr_thrift_in_skip(struct mr_thrift_in *in, enum mr_thrift_type type);

#endif
