/*
 * Repeatable values of any type: a multiplicative generator, no state outside of the call.
 */
#include "sample.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

const char *const sample_types[] = {
    "void",
    "boolean",
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "float",
    "double",
    "decimal(12,2)",
    "decimal(38,10)",
    "date",
    "time",
    "timestamp",
    "timestamp_ntz",
    "interval",
    "string",
    "binary",
    "json",
    "uuid",
    "array<int>",
    "array<string>",
    "array<array<double>>",
    "struct<a:int,b:string>",
    "struct<a:struct<b:array<decimal(30,2)>,c:boolean>,d:void>",
    "map<string,int>",
    "map<int,array<struct<x:string,y:date>>>",
};
const int sample_ntypes = sizeof sample_types / sizeof sample_types[0];

static void append_text(struct mr_builder *builder, uint64_t seed)
{
    char text[64];
    int n = seed % 5 == 0
                ? 0
                : snprintf(text, sizeof text, "%s%llu",
                           seed % 7 == 0 ? "a text of more than sixteen bytes \xC3\xA4 " : "t",
                           (unsigned long long)(seed % 100000));
    assert_int_equal(mr_builder_bytes(builder, text, (size_t)n, NULL), MR_OK);
}

static void append_double(struct mr_builder *builder, uint64_t seed)
{
    static const double odd[] = {0.0, -0.0, 1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0};
    double value = seed % 6 < 5 ? odd[seed % 5] : (double)(int64_t)seed / 1e5;
    assert_int_equal(mr_builder_double(builder, seed % 3 ? (double)(int)(seed % 1000) / 8 : value,
                                       NULL),
                     MR_OK);
}

static void append_nested(struct mr_builder *builder, uint64_t seed, int null_every)
{
    if (builder->layout == MR_LAYOUT_STRUCT) {
        for (int i = 0; i < builder->nchildren; i++)
            sample_append(&builder->children[i], mr_hash_mix(seed + (uint64_t)i), null_every);
        assert_int_equal(mr_builder_struct(builder, NULL), MR_OK);
        return;
    }
    for (uint64_t i = 0; i < seed % 4; i++) {
        struct mr_builder *child = &builder->children[0];
        if (builder->type->id == MR_TYPE_MAP) {
            sample_append(&child->children[0], seed + i, 0);
            sample_append(&child->children[1], mr_hash_mix(seed + i), null_every);
            assert_int_equal(mr_builder_struct(child, NULL), MR_OK);
        } else {
            sample_append(child, mr_hash_mix(seed + i), null_every);
        }
    }
    assert_int_equal(mr_builder_list(builder, NULL), MR_OK);
}

void sample_append(struct mr_builder *builder, uint64_t seed, int null_every)
{
    if (builder->layout == MR_LAYOUT_NONE ||
        (null_every && mr_hash_mix(seed ^ 0x55) % (uint64_t)null_every == 0)) {
        assert_int_equal(mr_builder_null(builder, NULL), MR_OK);
        return;
    }
    uint64_t words[2] = {mr_hash_mix(seed), seed};
    switch (builder->layout) {
    case MR_LAYOUT_BYTES:
        append_text(builder, seed);
        break;
    case MR_LAYOUT_F32:
    case MR_LAYOUT_F64:
        append_double(builder, seed);
        break;
    case MR_LAYOUT_FIXED16:
        /* Within what an interval of nanoseconds can hold. */
        words[1] &= 0xFFFFFFFFFFFF;
        assert_int_equal(mr_builder_fixed16(builder, words, NULL), MR_OK);
        break;
    case MR_LAYOUT_I128:
        assert_int_equal(mr_builder_decimal(builder,
                                            (mr_int128)(int64_t)seed *
                                                (seed % 2 ? 1 : INT64_C(1000000007)),
                                            NULL),
                         MR_OK);
        break;
    case MR_LAYOUT_LIST:
    case MR_LAYOUT_STRUCT:
        append_nested(builder, seed, null_every);
        break;
    default: {
        bool boolean = builder->type->id == MR_TYPE_BOOL;
        int64_t value = (int64_t)(seed % 1000000) - 500000;
        assert_int_equal(mr_builder_int(builder, boolean ? value & 1 : value, NULL), MR_OK);
    }
    }
}

struct mr_column *sample_column(struct mr_memory *memory, const struct mr_type *type, int64_t rows,
                                int64_t distinct, int null_every)
{
    struct mr_builder builder;
    struct mr_column *column;
    struct mr_error err;
    assert_int_equal(mr_builder_init(&builder, memory, type, &err), MR_OK);
    for (int64_t i = 0; i < rows; i++)
        sample_append(&builder, mr_hash_mix((uint64_t)(i % distinct)), null_every);
    assert_int_equal(builder.length, rows);
    assert_int_equal(mr_builder_finish(&builder, &column, &err), MR_OK);
    mr_builder_reset(&builder);
    return column;
}

struct mr_column *sample_dictionary(struct mr_memory *memory, const struct mr_type *type,
                                    int64_t rows, int64_t distinct, int null_every)
{
    struct mr_column *dictionary = sample_column(memory, type, distinct, distinct, 0);
    struct mr_builder codes;
    struct mr_column *index, *column;
    struct mr_error err;
    assert_int_equal(mr_builder_init(&codes, memory, mr_type_of(MR_TYPE_INT32), &err), MR_OK);
    for (int64_t i = 0; i < rows; i++) {
        if (null_every && i % null_every == 0)
            assert_int_equal(mr_builder_null(&codes, &err), MR_OK);
        else
            assert_int_equal(mr_builder_int(&codes, (i * 7) % distinct, &err), MR_OK);
    }
    assert_int_equal(mr_builder_finish(&codes, &index, &err), MR_OK);
    mr_builder_reset(&codes);
    assert_int_equal(mr_column_new_dictionary(dictionary, rows, index->nulls,
                                              mr_buffer_ref(index->validity),
                                              mr_buffer_ref(index->values), &column, &err),
                     MR_OK);
    mr_column_unref(index);
    return column;
}

struct mr_column *sample_constant(struct mr_memory *memory, const struct mr_type *type,
                                  int64_t rows, bool null)
{
    struct mr_column *row = sample_column(memory, type, 9, 9, 0), *column;
    struct mr_error err;
    struct mr_value value;
    mr_column_get(row, 6, &value);
    value.is_null |= null;
    assert_int_equal(mr_column_new_constant(memory, type, &value, rows, &column, &err), MR_OK);
    mr_column_unref(row);
    return column;
}
