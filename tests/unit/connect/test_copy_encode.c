/*
 * test_copy_encode.c - batches to COPY rows and back, types of targets, refused values.
 */
#include "../col/fixture.h"
#include "base/time.h"
#include "col/kernel.h"
#include "connect/postgres/catalog.h"
#include "connect/postgres/copy_encode.h"
#include "connect/postgres/numeric.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The decoder's way of reading what a target has. */
static struct mr_copy_field field_of(struct fixture *fixture, const struct mr_copy_target *target,
                                     const struct mr_type *type)
{
    static const enum mr_copy_kind kinds[] = {
        [MR_FORM_BOOL] = MR_COPY_BOOL,           [MR_FORM_INT2] = MR_COPY_INT2,
        [MR_FORM_INT4] = MR_COPY_INT4,           [MR_FORM_INT8] = MR_COPY_INT8,
        [MR_FORM_FLOAT4] = MR_COPY_FLOAT4,       [MR_FORM_FLOAT8] = MR_COPY_FLOAT8,
        [MR_FORM_NUMERIC] = MR_COPY_NUMERIC,     [MR_FORM_TEXT] = MR_COPY_TEXT,
        [MR_FORM_JSONB] = MR_COPY_JSONB,         [MR_FORM_BYTEA] = MR_COPY_BYTEA,
        [MR_FORM_DATE] = MR_COPY_DATE,           [MR_FORM_TIME] = MR_COPY_TIME,
        [MR_FORM_TIMESTAMP] = MR_COPY_TIMESTAMP, [MR_FORM_INTERVAL] = MR_COPY_INTERVAL,
        [MR_FORM_UUID] = MR_COPY_UUID,           [MR_FORM_ARRAY] = MR_COPY_ARRAY,
        [MR_FORM_CAST] = MR_COPY_TEXT,
    };
    struct mr_copy_field field = {.name = "c", .kind = kinds[target->form], .type = type};
    if (target->form == MR_FORM_ARRAY) {
        struct mr_copy_field *element = mr_arena_calloc(&fixture->arena, 1, sizeof *element);
        *element = field_of(fixture, target->element, type->fields[0].type);
        field.element = element;
    }
    return field;
}

static struct mr_batch *batch_of(struct fixture *fixture, struct mr_column *column)
{
    struct mr_field field = {.name = "c", .type = column->type, .nullable = true};
    struct mr_batch *batch;
    assert_int_equal(mr_batch_new(mr_schema_new(&fixture->arena, &field, 1), column->length,
                                  &column, &batch, &fixture->err),
                     MR_OK);
    return batch;
}

static struct mr_batch *decode(struct fixture *fixture, const struct mr_copy_target *target,
                               const struct mr_type *type, struct mr_slice wire)
{
    struct mr_copy_field read = field_of(fixture, target, type);
    struct mr_field field = {.name = "c", .type = type, .nullable = true};
    const struct mr_schema *schema = mr_schema_new(&fixture->arena, &field, 1);
    struct mr_copy_decoder decoder;
    struct mr_error *err = &fixture->err;
    struct mr_batch *batch = NULL;
    assert_int_equal(mr_copy_decoder_init(&decoder, &fixture->memory, &read, 1, "t", err), MR_OK);
    assert_int_equal(mr_copy_decoder_begin(&decoder, 16, err), MR_OK);
    if (mr_copy_decoder_message(&decoder, wire.data, wire.size, err) != MR_OK)
        fail_msg("%s", err->message);
    assert_true(decoder.done);
    assert_int_equal(mr_copy_decoder_finish(&decoder, schema, &batch, err), MR_OK);
    mr_copy_decoder_reset(&decoder);
    return batch;
}

/* The column through encoder and decoder: the same. Takes the reference. */
static void check_same(struct fixture *fixture, const struct mr_copy_target *target,
                       const struct mr_type *type, struct mr_column *column)
{
    struct mr_batch *batch = batch_of(fixture, column);
    struct mr_copy_encoder encoder;
    mr_copy_encoder_init(&encoder, target, 1, "table t");
    struct mr_bytes wire;
    mr_bytes_init(&wire, 1 << 20);
    mr_copy_encode_header(&wire);
    int64_t half = batch->rows / 2;
    if (mr_copy_encode_rows(&encoder, batch, 0, half, &wire, &fixture->err) != MR_OK ||
        mr_copy_encode_rows(&encoder, batch, half, batch->rows - half, &wire, &fixture->err) !=
            MR_OK)
        fail_msg("%s", fixture->err.message);
    mr_copy_encode_trailer(&wire);
    assert_int_equal(encoder.rows, batch->rows);
    struct mr_batch *back = decode(fixture, target, type, (struct mr_slice){wire.data, wire.size});
    assert_int_equal(back->rows, batch->rows);
    assert_int_equal(mr_column_check(back->columns[0], &fixture->err), MR_OK);
    for (int64_t i = 0; i < batch->rows && mr_type_equal(type, batch->columns[0]->type); i++)
        assert_true(mr_column_equal_rows(batch->columns[0], i, back->columns[0], i));
    mr_batch_unref(back);
    mr_batch_unref(batch);
    mr_bytes_reset(&wire);
}

static struct mr_column *column_of(struct fixture *fixture, const struct mr_type *type,
                                   const struct mr_value *values, int count)
{
    struct mr_builder builder;
    struct mr_column *column;
    assert_int_equal(mr_builder_init(&builder, &fixture->memory, type, &fixture->err), MR_OK);
    for (int i = 0; i < count; i++) {
        struct mr_value value = values[i];
        value.type = type;
        assert_int_equal(mr_builder_value(&builder, &value, &fixture->err), MR_OK);
        assert_int_equal(mr_builder_null(&builder, &fixture->err), MR_OK);
    }
    assert_int_equal(mr_builder_finish(&builder, &column, &fixture->err), MR_OK);
    mr_builder_reset(&builder);
    return column;
}

/* Flat, as the one value of a constant, as codes, and as lists, with a NULL behind each value. */
static void check_type(struct fixture *fixture, const struct mr_type *type, const char *sql,
                       const struct mr_value *values, int count)
{
    struct mr_error *err = &fixture->err;
    struct mr_field field = {.name = "c", .type = type, .nullable = true};
    struct mr_copy_target target = {.name = "c"};
    assert_int_equal(mr_copy_target_new(&field, &fixture->arena, &target, err), MR_OK);
    assert_string_equal(target.sql_type, sql);
    struct mr_column *flat = column_of(fixture, type, values, count);
    check_same(fixture, &target, type, mr_column_ref(flat));
    for (int i = 0; i < count + 1; i++) {
        struct mr_value value = i < count ? values[i] : (struct mr_value){.is_null = true};
        value.type = type;
        struct mr_column *constant;
        assert_int_equal(mr_column_new_constant(&fixture->memory, type, &value, 5, &constant, err),
                         MR_OK);
        check_same(fixture, &target, type, constant);
    }
    int32_t rows[64];
    for (int i = 0; i < count; i++)
        rows[i] = 2 * i;
    struct mr_column *dictionary;
    assert_int_equal(mr_column_take(&fixture->memory, flat, rows, count, &dictionary, err), MR_OK);
    struct mr_builder codes;
    assert_int_equal(mr_builder_init(&codes, &fixture->memory, mr_type_of(MR_TYPE_INT32), err),
                     MR_OK);
    for (int i = 0; i < 40; i++)
        assert_int_equal(i % 3 == 2 ? mr_builder_null(&codes, err)
                                    : mr_builder_int(&codes, i % count, err),
                         MR_OK);
    struct mr_column *numbers;
    struct mr_column *coded;
    assert_int_equal(mr_builder_finish(&codes, &numbers, err), MR_OK);
    mr_builder_reset(&codes);
    assert_int_equal(mr_column_new_dictionary(dictionary, 40, numbers->nulls,
                                              mr_buffer_ref(numbers->validity),
                                              mr_buffer_ref(numbers->values), &coded, err),
                     MR_OK);
    mr_column_unref(numbers);
    check_same(fixture, &target, type, coded);
    const struct mr_type *list = mr_type_list(&fixture->arena, type, true);
    struct mr_builder builder;
    assert_int_equal(mr_builder_init(&builder, &fixture->memory, list, err), MR_OK);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j <= i; j++) {
            struct mr_value value = values[j];
            value.type = type;
            assert_int_equal(mr_builder_value(&builder.children[0], &value, err), MR_OK);
        }
        if (i % 2)
            assert_int_equal(mr_builder_null(&builder.children[0], err), MR_OK);
        assert_int_equal(mr_builder_list(&builder, err), MR_OK);
        assert_int_equal(mr_builder_null(&builder, err), MR_OK);
        assert_int_equal(mr_builder_list(&builder, err), MR_OK); /* empty */
    }
    struct mr_column *lists;
    assert_int_equal(mr_builder_finish(&builder, &lists, err), MR_OK);
    mr_builder_reset(&builder);
    field.type = list;
    assert_int_equal(mr_copy_target_new(&field, &fixture->arena, &target, err), MR_OK);
    check_same(fixture, &target, list, lists);
    mr_column_unref(flat);
}

#define INT(x)                                                                                     \
    {                                                                                              \
        .u.i64 = (x)                                                                               \
    }
#define F64(x)                                                                                     \
    {                                                                                              \
        .u.f64 = (x)                                                                               \
    }
#define TEXT(x)                                                                                    \
    {                                                                                              \
        .u.bytes = {(x), sizeof(x) - 1 }                                                           \
    }
#define CHECK_TYPE(type, sql, ...)                                                                 \
    do {                                                                                           \
        const struct mr_value list[] = {__VA_ARGS__};                                              \
        check_type(fixture, (type), (sql), list, (int)(sizeof list / sizeof list[0]));             \
    } while (0)

static void test_types(void **state)
{
    struct fixture *fixture = *state;
    CHECK_TYPE(mr_type_of(MR_TYPE_BOOL), "boolean", INT(0), INT(1));
    CHECK_TYPE(mr_type_of(MR_TYPE_INT16), "smallint", INT(0), INT(INT16_MIN), INT(INT16_MAX));
    CHECK_TYPE(mr_type_of(MR_TYPE_INT32), "integer", INT(-1), INT(INT32_MIN), INT(INT32_MAX));
    CHECK_TYPE(mr_type_of(MR_TYPE_INT64), "bigint", INT(-1), INT(INT64_MIN), INT(INT64_MAX));
    CHECK_TYPE(mr_type_of(MR_TYPE_FLOAT32), "real", F64(-0.0), F64((double)INFINITY),
               F64((double)NAN), F64(0x1p-149), F64(1.5));
    CHECK_TYPE(mr_type_of(MR_TYPE_FLOAT64), "double precision", F64(-0.0), F64((double)-INFINITY),
               F64((double)NAN), F64(5e-324), F64(0.1));
    CHECK_TYPE(mr_type_of(MR_TYPE_DATE), "date", INT(0), INT(-2440588), INT(2145042905),
               INT(-719529), INT(2932897));
    CHECK_TYPE(mr_type_of(MR_TYPE_TIME), "time without time zone", INT(0), INT(MR_MICROS_PER_DAY));
    CHECK_TYPE(mr_type_of(MR_TYPE_TIMESTAMP), "timestamp with time zone", INT(0), INT(INT64_MAX),
               INT(INT64_C(-211813488000000000) + 10957 * MR_MICROS_PER_DAY),
               INT(-719529 * MR_MICROS_PER_DAY), INT(2932897 * MR_MICROS_PER_DAY - 1));
    CHECK_TYPE(mr_type_of(MR_TYPE_TIMESTAMP_NTZ), "timestamp without time zone", INT(-1), INT(1));
    CHECK_TYPE(mr_type_of(MR_TYPE_INTERVAL), "interval",
               {.u.interval = {INT32_MIN, INT32_MAX, INT64_MIN}}, {.u.interval = {1, -2, 3}});
    CHECK_TYPE(mr_type_of(MR_TYPE_STRING), "text", TEXT(""), TEXT("a"), TEXT("Ωmega ☃ 🙂"));
    CHECK_TYPE(mr_type_of(MR_TYPE_JSON), "json", TEXT("{\"a\": 1}"), TEXT("null"));
    CHECK_TYPE(mr_type_of(MR_TYPE_BINARY), "bytea", TEXT(""), TEXT("\0\377x"));
    CHECK_TYPE(mr_type_of(MR_TYPE_UUID), "uuid", {.u.uuid = {0}}, {.u.uuid = {255, 1, 2, 3}});
}

static void test_decimals(void **state)
{
    struct fixture *fixture = *state;
    static const int scales[] = {0, 1, 2, 3, 4, 5, 10, 15, 16, 17, 18, 19, 30, 35, 37, 38};
    for (int precision = 1; precision <= 38; precision++) {
        mr_int128 largest = mr_decimal_pow10(precision) - 1;
        for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
            if (scales[i] > precision)
                continue;
            const struct mr_type *type = mr_type_decimal(&fixture->arena, precision, scales[i]);
            char sql[40];
            snprintf(sql, sizeof sql, "numeric(%d,%d)", precision, scales[i]);
            struct mr_value values[24];
            int count = 0;
            mr_int128 number = largest;
            for (; number > 0 && count < 20; number /= 67, count += 2) {
                values[count] = (struct mr_value){.u.i128 = number};
                values[count + 1] = (struct mr_value){.u.i128 = -number};
            }
            values[count++] = (struct mr_value){.u.i128 = 0};
            values[count++] = (struct mr_value){.u.i128 = mr_decimal_pow10(precision - 1)};
            check_type(fixture, type, sql, values, count);
        }
    }
}

/* The text that the server would print, from the bytes. */
static void test_numeric_text(void **state)
{
    (void)state;
    for (int scale = 0; scale <= 38; scale++) {
        mr_int128 value = mr_decimal_pow10(38) - 1;
        for (; value > 0; value /= 7) {
            uint8_t wire[MR_NUMERIC_SIZE_MAX];
            char expected[MR_DECIMAL_TEXT_MAX];
            size_t size = mr_numeric_from_decimal(-value, scale, wire);
            assert_true(size <= sizeof wire);
            struct mr_bytes text;
            mr_bytes_init(&text, 1000);
            assert_int_equal(mr_numeric_to_text(wire, (uint32_t)size, &text), MR_NUMERIC_OK);
            mr_decimal_format(-value, scale, expected);
            assert_string_equal(text.data, expected);
            mr_bytes_reset(&text);
        }
    }
}

static enum mr_status load(struct fixture *fixture, const struct mr_type *type, uint32_t oid,
                           int32_t typmod, struct mr_value value, const char *expected)
{
    struct mr_field field = {.name = "c", .type = type, .nullable = true};
    struct mr_copy_target target = {.name = "c", .sql_type = "x", .type = oid, .typmod = typmod};
    struct mr_error *err = &fixture->err;
    err->message[0] = '\0';
    enum mr_status status = mr_copy_target_match(&field, &fixture->arena, &target, err);
    if (status == MR_OK) {
        struct mr_batch *batch = batch_of(fixture, column_of(fixture, type, &value, 1));
        struct mr_copy_encoder encoder;
        mr_copy_encoder_init(&encoder, &target, 1, "table t");
        struct mr_bytes wire;
        mr_bytes_init(&wire, 1 << 20);
        encoder.rows = 41;
        status = mr_copy_encode_rows(&encoder, batch, 0, 2, &wire, err);
        assert_true((status == MR_OK) == (wire.size > 0));
        assert_int_equal(encoder.rows, status == MR_OK ? 43 : 41);
        mr_bytes_reset(&wire);
        mr_batch_unref(batch);
        if (status != MR_OK) {
            assert_int_equal(err->cls, MR_CLASS_DATA);
            assert_non_null(strstr(err->message, "table t, column \"c\" (x), row 42"));
        }
    }
    if (expected && (status != MR_SINK || strstr(err->message, expected) == NULL))
        fail_msg("'%s' where '%s' was expected", err->message, expected);
    if (expected == NULL && status != MR_OK)
        fail_msg("%s", err->message);
    return status;
}

static int32_t numeric_typmod(int precision, int scale)
{
    return (int32_t)(((uint32_t)precision << 16 | ((uint32_t)scale & 0x7FF)) + 4);
}

#define LOAD(type, oid, typmod, value, expected)                                                   \
    (void)load(fixture, type, oid, typmod, (struct mr_value)value, expected)

static void test_matches(void **state)
{
    struct fixture *fixture = *state;
    const struct mr_type *bigint = mr_type_of(MR_TYPE_INT64);
    const struct mr_type *text = mr_type_of(MR_TYPE_STRING);
    const struct mr_type *real = mr_type_of(MR_TYPE_FLOAT64);
    const struct mr_type *decimal = mr_type_decimal(&fixture->arena, 12, 4);
    const struct mr_type *wide = mr_type_decimal(&fixture->arena, 38, 0);
    LOAD(bigint, MR_PG_INT2, -1, INT(32767), NULL);
    LOAD(bigint, MR_PG_INT2, -1, INT(32768), "out of the range");
    LOAD(bigint, MR_PG_INT4, -1, INT(INT64_C(1) << 31), "out of the range");
    LOAD(mr_type_of(MR_TYPE_INT8), MR_PG_INT2, -1, INT(-128), NULL);
    LOAD(bigint, MR_PG_FLOAT8, -1, INT(INT64_C(1) << 53), NULL);
    LOAD(bigint, MR_PG_FLOAT8, -1, INT((INT64_C(1) << 53) + 1), "more digits");
    LOAD(bigint, MR_PG_FLOAT8, -1, INT(INT64_MAX), "more digits");
    LOAD(bigint, MR_PG_NUMERIC, numeric_typmod(5, 2), INT(999), NULL);
    LOAD(bigint, MR_PG_NUMERIC, numeric_typmod(5, 2), INT(-1000), "out of the range");
    LOAD(bigint, MR_PG_NUMERIC, numeric_typmod(3, -2), INT(99900), NULL);
    LOAD(bigint, MR_PG_NUMERIC, numeric_typmod(3, -2), INT(99901), "more digits");
    LOAD(decimal, MR_PG_NUMERIC, numeric_typmod(10, 2), INT(0), NULL);
    LOAD(decimal, MR_PG_NUMERIC, numeric_typmod(10, 2), {.u.i128 = 12300}, NULL);
    LOAD(decimal, MR_PG_NUMERIC, numeric_typmod(10, 2), {.u.i128 = 12345}, "more digits");
    LOAD(decimal, MR_PG_NUMERIC, numeric_typmod(2, 2), {.u.i128 = 10000}, "out of the range");
    LOAD(decimal, MR_PG_NUMERIC, -1, {.u.i128 = 12345}, NULL);
    LOAD(decimal, MR_PG_INT4, -1, {.u.i128 = 20000}, NULL);
    LOAD(decimal, MR_PG_INT4, -1, {.u.i128 = 20001}, "more digits");
    LOAD(wide, MR_PG_INT8, -1, {.u.i128 = mr_decimal_pow10(19)}, "out of the range");
    LOAD(wide, MR_PG_FLOAT8, -1, {.u.i128 = mr_decimal_pow10(38) - 1}, "more digits");
    LOAD(real, MR_PG_FLOAT4, -1, F64(0.1), NULL);
    LOAD(real, MR_PG_FLOAT4, -1, F64((double)INFINITY), NULL);
    LOAD(real, MR_PG_FLOAT4, -1, F64(1e39), "out of the range");
    LOAD(real, MR_PG_FLOAT4, -1, F64(1e-60), "out of the range");
    LOAD(text, MR_PG_VARCHAR, 4 + 3, TEXT("äöü"), NULL);
    LOAD(text, MR_PG_VARCHAR, 4 + 3, TEXT("äöüx"), "longer");
    LOAD(text, MR_PG_BPCHAR, 4 + 3, TEXT("abc   "), NULL);
    LOAD(text, MR_PG_TEXT, -1, TEXT("a\0b"), "NUL");
    LOAD(text, MR_PG_TEXT, -1, TEXT("a\377b"), "UTF-8");
    LOAD(text, MR_PG_INT4, -1, TEXT("1"), "cannot be loaded into x: cast it before");
    LOAD(text, MR_PG_UUID, -1, TEXT("1"), "cannot be loaded");
    LOAD(text, 869, -1, TEXT("10.0.0.1"), NULL); /* inet: a cast */
    LOAD(bigint, 869, -1, INT(1), "cannot be loaded");
    LOAD(real, MR_PG_NUMERIC, -1, F64(1), "double cannot be loaded");
    LOAD(mr_type_of(MR_TYPE_DATE), MR_PG_DATE, -1, INT(INT32_MAX), "out of the range");
    LOAD(mr_type_of(MR_TYPE_DATE), MR_PG_TIMESTAMP, -1, INT(-719529), NULL);
    LOAD(mr_type_of(MR_TYPE_TIMESTAMP), MR_PG_TIMESTAMPTZ, -1, INT(INT64_MIN), "out of the range");
    LOAD(mr_type_of(MR_TYPE_TIMESTAMP), MR_PG_TIMESTAMPTZ, 3, INT(-1000), NULL);
    LOAD(mr_type_of(MR_TYPE_TIMESTAMP), MR_PG_TIMESTAMPTZ, 3, INT(1001), "more digits");
    LOAD(mr_type_of(MR_TYPE_TIME), MR_PG_TIME, -1, INT(MR_MICROS_PER_DAY + 1), "out of the range");
    LOAD(mr_type_of(MR_TYPE_NULL), MR_PG_DATE, -1, {.is_null = true}, NULL);
}

static void check_origin(struct fixture *fixture, const struct mr_type *type, const char *origin,
                         const char *sql)
{
    struct mr_field field = {.name = "c", .type = type, .nullable = true, .origin = origin};
    struct mr_copy_target target = {.name = "c"};
    assert_int_equal(mr_copy_target_new(&field, &fixture->arena, &target, &fixture->err), MR_OK);
    assert_string_equal(target.sql_type, sql);
}

static void test_origins(void **state)
{
    struct fixture *fixture = *state;
    const struct mr_type *text = mr_type_of(MR_TYPE_STRING);
    const struct mr_type *decimal = mr_type_decimal(&fixture->arena, 5, 5);
    check_origin(fixture, text, "character varying(50)", "character varying(50)");
    check_origin(fixture, text, "character(5)", "character(5)");
    check_origin(fixture, text, "inet", "text");
    check_origin(fixture, text, "numeric", "text");
    check_origin(fixture, decimal, "numeric(3,5)", "numeric(3,5)");
    check_origin(fixture, decimal, "numeric", "numeric");
    check_origin(fixture, decimal, "numeric(9,2)", "numeric(5,5)");
    check_origin(fixture, mr_type_of(MR_TYPE_TIMESTAMP), "timestamp(3) with time zone",
                 "timestamp(3) with time zone");
    check_origin(fixture, mr_type_of(MR_TYPE_JSON), "jsonb", "jsonb");
    check_origin(fixture, mr_type_of(MR_TYPE_INT64), "integer", "bigint");
    check_origin(fixture, mr_type_list(&fixture->arena, text, true), "character varying(9)[]",
                 "character varying(9)[]");
    check_origin(fixture, mr_type_list(&fixture->arena, text, true), "pair[]", "text[]");
}

/* A struct is a jsonb. */
static void test_nested(void **state)
{
    struct fixture *fixture = *state;
    struct mr_error *err = &fixture->err;
    struct mr_field parts[] = {{"a", mr_type_of(MR_TYPE_INT32), true, NULL},
                               {"b", mr_type_of(MR_TYPE_STRING), true, NULL}};
    const struct mr_type *type = mr_type_struct(&fixture->arena, parts, 2);
    struct mr_builder builder;
    assert_int_equal(mr_builder_init(&builder, &fixture->memory, type, err), MR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_builder_int(&builder.children[0], i, err), MR_OK);
        assert_int_equal(mr_builder_bytes(&builder.children[1], "é", 2, err), MR_OK);
        assert_int_equal(mr_builder_struct(&builder, err), MR_OK);
        assert_int_equal(mr_builder_null(&builder, err), MR_OK);
    }
    struct mr_column *column;
    assert_int_equal(mr_builder_finish(&builder, &column, err), MR_OK);
    mr_builder_reset(&builder);
    struct mr_field field = {.name = "c", .type = type, .nullable = true};
    struct mr_copy_target target = {.name = "c"};
    assert_int_equal(mr_copy_target_new(&field, &fixture->arena, &target, err), MR_OK);
    assert_string_equal(target.sql_type, "jsonb");
    struct mr_batch *batch = batch_of(fixture, column);
    struct mr_copy_encoder encoder;
    mr_copy_encoder_init(&encoder, &target, 1, "table t");
    struct mr_bytes wire;
    mr_bytes_init(&wire, 1 << 20);
    assert_int_equal(mr_copy_encode_rows(&encoder, batch, 2, 2, &wire, err), MR_OK);
    static const char expected[] = "\0\1\0\0\0\x11\1{\"a\":1,\"b\":\"é\"}\0\1\377\377\377\377";
    assert_int_equal(wire.size, sizeof expected - 1);
    assert_memory_equal(wire.data, expected, wire.size);
    mr_bytes_reset(&wire);
    mr_batch_unref(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_types, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_decimals, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_numeric_text, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_matches, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_origins, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_nested, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
