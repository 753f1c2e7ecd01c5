/*
 * Every type and encoding out through the Arrow C data interface and in again.
 */
#include "col/arrow_abi.h"
#include "col/arrow_cdata.h"
#include "col/kernel.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ROWS 133

static void round_trip(struct mr_arena *arena, struct mr_memory *memory, const char *text,
                       int variant)
{
    struct mr_error err;
    const struct mr_type *type;
    const struct mr_schema *back;
    struct mr_column *column;
    struct mr_batch *batch, *again;
    struct ArrowSchema arrow_schema;
    struct ArrowArray array;
    assert_int_equal(mr_type_parse(arena, text, &type, &err), MR_OK);
    struct mr_field field = {.name = "x", .type = type, .nullable = true};
    const struct mr_schema *schema = mr_schema_new(arena, &field, 1);
    if (variant == 2 && type->id != MR_TYPE_NULL)
        column = sample_dictionary(memory, type, ROWS, 10, 4);
    else
        column = sample_column(memory, type, ROWS, ROWS, variant ? 4 : 0);
    assert_int_equal(mr_batch_new(schema, ROWS, &column, &batch, &err), MR_OK);

    assert_int_equal(mr_arrow_export_schema(schema, &arrow_schema, &err), MR_OK);
    assert_int_equal(mr_arrow_export_batch(batch, &array, &err), MR_OK);
    assert_int_equal(mr_arrow_import_schema(&arrow_schema, arena, &back, &err), MR_OK);
    assert_true(mr_schema_equal(schema, back));
    assert_int_equal(mr_arrow_import_batch(&array, &arrow_schema, back, memory, &again, &err),
                     MR_OK);
    assert_null(array.release);
    assert_int_equal(mr_column_check(again->columns[0], &err), MR_OK);
    for (int64_t i = 0; i < ROWS; i++)
        assert_true(mr_column_equal_rows(batch->columns[0], i, again->columns[0], i));
    mr_batch_unref(again);

    /* A slice: offset and length changed by a consumer, of the struct or of its child. */
    for (int child = 0; child < 2; child++) {
        assert_int_equal(mr_arrow_export_batch(batch, &array, &err), MR_OK);
        struct ArrowArray *sliced = child ? array.children[0] : &array;
        sliced->offset = 13;
        sliced->length = array.length = 100;
        sliced->null_count = sliced->null_count ? -1 : 0;
        assert_int_equal(mr_arrow_import_batch(&array, &arrow_schema, back, memory, &again, &err),
                         MR_OK);
        assert_int_equal(mr_column_check(again->columns[0], &err), MR_OK);
        for (int64_t i = 0; i < 100; i++)
            assert_true(mr_column_equal_rows(batch->columns[0], i + 13, again->columns[0], i));
        mr_batch_unref(again);
    }
    arrow_schema.release(&arrow_schema);
    mr_batch_unref(batch);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct mr_arena arena;
    struct mr_memory memory;
    mr_arena_init(&arena, NULL);
    mr_memory_init(&memory, NULL, "test", INT64_MAX);
    for (int t = 0; t < sample_ntypes; t++)
        for (int variant = 0; variant < 3; variant++)
            round_trip(&arena, &memory, sample_types[t], variant);
    assert_int_equal(mr_memory_used(&memory), 0);
    mr_arena_reset(&arena);
}

/* Formats that we read and never write, by hand. */
static void import_one(const char *format, int64_t nbuffers, const void **buffers, int64_t length,
                       const char *type, const char *wanted)
{
    struct mr_arena arena;
    struct mr_error err;
    const struct mr_schema *schema;
    struct mr_batch *batch;
    struct mr_bytes out;
    char text[64];
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&out, 1000);
    struct ArrowSchema child_schema = {.format = format, .name = "x", .flags = 2};
    struct ArrowSchema *children_schema[] = {&child_schema};
    struct ArrowSchema in_schema = {.format = "+s", .n_children = 1, .children = children_schema};
    struct ArrowArray child = {.length = length,
                               .n_buffers = nbuffers,
                               .null_count = -1,
                               .buffers = buffers};
    struct ArrowArray *children[] = {&child};
    struct ArrowArray in = {.length = length, .n_children = 1, .children = children};
    assert_int_equal(mr_arrow_import_schema(&in_schema, &arena, &schema, &err), MR_OK);
    assert_string_equal(mr_type_text(schema->fields[0].type, text, sizeof text), type);
    assert_int_equal(mr_arrow_import_batch(&in, &in_schema, schema, NULL, &batch, &err), MR_OK);
    for (int64_t i = 0; i < length; i++) {
        struct mr_value value;
        mr_column_get(batch->columns[0], i, &value);
        mr_value_format(&value, &out);
        mr_bytes_char(&out, ';');
    }
    assert_string_equal(out.data, wanted);
    mr_batch_unref(batch);
    mr_bytes_reset(&out);
    mr_arena_reset(&arena);
}

static void test_foreign_formats(void **state)
{
    (void)state;
    static const uint8_t second_null[] = {0xFD};
    static const uint64_t wide[] = {UINT64_MAX, 0, 3};
    static const uint32_t unsigned32[] = {UINT32_MAX, 0, 7};
    static const int64_t offsets[] = {0, 2, 4, 5};
    static const int64_t nanos[] = {-1, 0, 1999};
    static const int32_t seconds[] = {0, 0, 86399};
    import_one("L", 2, (const void *[]){second_null, wide}, 3, "decimal(20,0)",
               "18446744073709551615;NULL;3;");
    import_one("I", 2, (const void *[]){NULL, unsigned32}, 3, "bigint", "4294967295;0;7;");
    import_one("U", 3, (const void *[]){second_null, offsets, "abcde"}, 3, "string", "ab;NULL;e;");
    import_one("tsn:", 2, (const void *[]){NULL, nanos}, 3, "timestamp_ntz",
               "1969-12-31 23:59:59.999999;1970-01-01 00:00:00;1970-01-01 00:00:00.000001;");
    import_one("tts", 2, (const void *[]){second_null, seconds}, 3, "time",
               "00:00:00;NULL;23:59:59;");
    import_one("w:2", 2, (const void *[]){NULL, "abcdef"}, 3, "binary", "ab;cd;ef;");
    struct view {
        int32_t size;
        char text[12];
    } views[2] = {{3, "abc"}, {20, ""}};
    const int32_t where[] = {0, 5};
    memcpy(views[1].text + 4, where, sizeof where);
    static const int64_t sizes[] = {30};
    import_one("vu", 4, (const void *[]){NULL, views, ".....01234567890123456789", sizes}, 2,
               "string", "abc;01234567890123456789;");
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"e", "d:50,2,256", "tDs", "+ud:0", "+r", "?"};
    struct mr_arena arena;
    struct mr_error err;
    const struct mr_schema *schema;
    mr_arena_init(&arena, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ArrowSchema child = {.format = bad[i], .name = "x"};
        struct ArrowSchema *children[] = {&child};
        struct ArrowSchema in = {.format = "+s", .n_children = 1, .children = children};
        assert_int_equal(mr_arrow_import_schema(&in, &arena, &schema, &err), MR_CONFIG);
    }
    mr_arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_foreign_formats),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("arrow", tests, NULL, NULL);
}
