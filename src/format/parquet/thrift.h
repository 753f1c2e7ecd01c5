/*
 * thrift.h - writes Thrift's compact protocol, as far as Parquet's metadata needs it.
 *
 * Source: "Thrift Compact protocol encoding" (Apache Thrift, doc/specs). Output goes to a mr_bytes, whose status
 * tells at the end whether all of it fitted.
 */
#ifndef MR_FORMAT_PARQUET_THRIFT_H
#define MR_FORMAT_PARQUET_THRIFT_H

#include "base/bytes.h"

enum mr_thrift_type {
    MR_THRIFT_TRUE = 1,
    MR_THRIFT_FALSE = 2,
    MR_THRIFT_I8 = 3,
    MR_THRIFT_I16 = 4,
    MR_THRIFT_I32 = 5,
    MR_THRIFT_I64 = 6,
    MR_THRIFT_BINARY = 8,
    MR_THRIFT_LIST = 9,
    MR_THRIFT_STRUCT = 12,
};

#define MR_THRIFT_DEPTH 16

struct mr_thrift {
    struct mr_bytes *out;
    int depth;
    int16_t last[MR_THRIFT_DEPTH]; /* id of the last field written, per open struct */
};

/* Starts with the top-level struct open. */
void mr_thrift_init(struct mr_thrift *thrift, struct mr_bytes *out);
/* A field of the open struct. Ids must ascend. */
void mr_thrift_bool(struct mr_thrift *thrift, int16_t id, bool value);
void mr_thrift_i8(struct mr_thrift *thrift, int16_t id, int8_t value);
void mr_thrift_i16(struct mr_thrift *thrift, int16_t id, int16_t value);
void mr_thrift_i32(struct mr_thrift *thrift, int16_t id, int32_t value);
void mr_thrift_i64(struct mr_thrift *thrift, int16_t id, int64_t value);
void mr_thrift_binary(struct mr_thrift *thrift, int16_t id, const void *data, size_t size);
void mr_thrift_text(struct mr_thrift *thrift, int16_t id, const char *text);
/* A list of `count` elements follows, written with the functions below. Booleans: MR_THRIFT_TRUE. */
void mr_thrift_list(struct mr_thrift *thrift, int16_t id, enum mr_thrift_type element,
                    size_t count);
/* Opens a struct: as a field, or (id 0) as an element of a list. Closed by mr_thrift_end. */
void mr_thrift_begin(struct mr_thrift *thrift, int16_t id);
void mr_thrift_end(struct mr_thrift *thrift);
/* A field holding a struct without fields. */
void mr_thrift_empty(struct mr_thrift *thrift, int16_t id);
/* Elements of a list. */
void mr_thrift_item_bool(struct mr_thrift *thrift, bool value);
void mr_thrift_item_int(struct mr_thrift *thrift, int64_t value);
void mr_thrift_item_binary(struct mr_thrift *thrift, const void *data, size_t size);

#endif
