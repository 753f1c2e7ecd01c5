/*
 * Contents: sums do not depend on order, batches, tasks, encodings or the width of numbers; they do on values, on which row
 * a value is in, and on how often a row comes. Samples are the same however rows are divided.
 */
#include "base/hash.h"
#include "col/builder.h"
#include "col/content.h"
#include "col/kernel.h"
#include "fixture.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ROWS 3000

static const struct mr_schema *schema_of(struct fixture *f, const char *text)
{
    const struct mr_schema *schema;
    if (mr_schema_parse(&f->arena, text, &schema, &f->err) != MR_OK)
        fail_msg("%s", f->err.message);
    return schema;
}

static struct mr_batch *batch_of(struct fixture *f, const struct mr_schema *schema,
                                 struct mr_column **columns)
{
    struct mr_batch *batch;
    assert_int_equal(mr_batch_new(schema, columns[0]->length, columns, &batch, &f->err), MR_OK);
    return batch;
}

static const struct mr_content_spec plain = {.range = -1, .skip = -1};

static struct mr_content *count(struct fixture *f, struct mr_content_spec spec,
                                struct mr_batch *batch)
{
    struct mr_content *content;
    spec.ncolumns = batch->schema->nfields;
    assert_int_equal(mr_content_new(spec.ncolumns, &content, &f->err), MR_OK);
    assert_int_equal(mr_content_add(content, &spec, batch, &f->err), MR_OK);
    return content;
}

static void put_bytes(struct mr_content *content, struct mr_bytes *out)
{
    mr_bytes_init(out, MR_BYTES_DEFAULT_MAXIMUM);
    mr_content_encode(content, out);
    assert_int_equal(out->status, MR_OK);
}

/* All that a content says, as bytes. */
static void assert_same(struct mr_content *a, struct mr_content *b)
{
    struct mr_bytes left, right;
    put_bytes(a, &left);
    put_bytes(b, &right);
    assert_int_equal(left.size, right.size);
    assert_memory_equal(left.data, right.data, left.size);
    mr_bytes_reset(&left);
    mr_bytes_reset(&right);
}

/* A row of every type: id, then each of the sample types. */
static struct mr_batch *sample_batch(struct fixture *f, const struct mr_schema **schema)
{
    struct mr_field *fields = mr_arena_calloc(&f->arena, (size_t)sample_ntypes + 1, sizeof *fields);
    struct mr_column **columns = mr_calloc((size_t)sample_ntypes + 1, sizeof *columns);
    fields[0] = (struct mr_field){.name = "id", .type = mr_type_of(MR_TYPE_INT64)};
    columns[0] = sample_column(&f->memory, fields[0].type, ROWS, ROWS, 7);
    for (int i = 0; i < sample_ntypes; i++) {
        fields[i + 1].name = mr_arena_printf(&f->arena, "c%d", i);
        assert_int_equal(mr_type_parse(&f->arena, sample_types[i], &fields[i + 1].type, &f->err),
                         MR_OK);
        columns[i + 1] = sample_column(&f->memory, fields[i + 1].type, ROWS, ROWS, 5);
    }
    *schema = mr_schema_new(&f->arena, fields, sample_ntypes + 1);
    struct mr_batch *batch = batch_of(f, *schema, columns);
    mr_free(columns);
    return batch;
}

static const int first_column[] = {0};

static struct mr_content_spec whole_spec(void)
{
    static const int partitions[] = {1};
    return (struct mr_content_spec){.range = 0,
                                    .skip = -1,
                                    .nkeys = 1,
                                    .keys = first_column,
                                    .npartitions = 1,
                                    .partitions = partitions};
}

static void test_divided(void **state)
{
    struct fixture *f = *state;
    const struct mr_schema *schema;
    struct mr_batch *batch = sample_batch(f, &schema), *part;
    struct mr_content_spec spec = whole_spec();
    spec.nkeys = 0; /* of equal keys the last counts, so a sample depends on order */
    struct mr_content *whole = count(f, spec, batch), *parts[3], *sum;
    int32_t rows[ROWS];
    for (int32_t i = 0; i < ROWS; i++)
        rows[i] = (int32_t)(((int64_t)i * 1001 + 17) % ROWS);
    static const int64_t bounds[] = {0, 1, 1700, ROWS};
    assert_int_equal(mr_content_new(schema->nfields, &sum, &f->err), MR_OK);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(mr_batch_take(&f->memory, batch, rows + bounds[i],
                                       bounds[i + 1] - bounds[i], &part, &f->err),
                         MR_OK);
        parts[i] = count(f, spec, part);
        assert_int_equal(mr_content_merge(sum, parts[i], &f->err), MR_OK);
        mr_content_free(parts[i]);
        mr_batch_unref(part);
    }
    assert_same(whole, sum);
    mr_content_free(whole);
    mr_content_free(sum);
    mr_batch_unref(batch);
}

static void test_bytes(void **state)
{
    struct fixture *f = *state;
    const struct mr_schema *schema;
    struct mr_batch *batch = sample_batch(f, &schema);
    struct mr_content *content = count(f, whole_spec(), batch), *read;
    struct mr_bytes bytes;
    put_bytes(content, &bytes);
    assert_int_equal(mr_content_decode((struct mr_slice){bytes.data, bytes.size}, &read, &f->err),
                     MR_OK);
    assert_same(content, read);
    mr_content_free(read);
    for (size_t cut = 0; cut < bytes.size; cut += 1 + bytes.size / 997)
        assert_int_equal(mr_content_decode((struct mr_slice){bytes.data, cut}, &read, &f->err),
                         MR_INTERNAL);
    for (size_t at = 4; at < bytes.size; at += 1 + bytes.size / 997) {
        bytes.data[at] ^= (char)0xff; /* whatever comes out, nothing is read or written outside */
        if (mr_content_decode((struct mr_slice){bytes.data, bytes.size}, &read, &f->err) == MR_OK)
            mr_content_free(read);
        bytes.data[at] ^= (char)0xff;
    }
    mr_bytes_reset(&bytes);
    mr_content_free(content);
    mr_batch_unref(batch);
}

static struct mr_column *integers(struct fixture *f, enum mr_type_id type, const int64_t *values,
                                  int count)
{
    struct mr_builder builder;
    struct mr_column *column;
    bool is_float = type == MR_TYPE_FLOAT32 || type == MR_TYPE_FLOAT64;
    assert_int_equal(mr_builder_init(&builder, &f->memory, mr_type_of(type), &f->err), MR_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(is_float ? mr_builder_double(&builder, (double)values[i], &f->err)
                                  : mr_builder_int(&builder, values[i], &f->err),
                         MR_OK);
    assert_int_equal(mr_builder_finish(&builder, &column, &f->err), MR_OK);
    mr_builder_reset(&builder);
    return column;
}

static struct mr_content *content_of(struct fixture *f, const char *schema,
                                     struct mr_content_spec spec, struct mr_column *a,
                                     struct mr_column *b)
{
    struct mr_column *columns[] = {a, b};
    struct mr_batch *batch = batch_of(f, schema_of(f, schema), columns);
    struct mr_content *content = count(f, spec, batch);
    mr_batch_unref(batch);
    return content;
}

static const int64_t small[] = {5, -7, 0, 100, 5};

static void test_widths(void **state)
{
    struct fixture *f = *state;
    struct mr_content *narrow =
        content_of(f, "a tinyint, b float", plain, integers(f, MR_TYPE_INT8, small, 5),
                   integers(f, MR_TYPE_FLOAT32, small, 5));
    struct mr_content *wide =
        content_of(f, "a bigint, b double", plain, integers(f, MR_TYPE_INT64, small, 5),
                   integers(f, MR_TYPE_FLOAT64, small, 5));
    assert_same(narrow, wide);
    mr_content_free(narrow);
    mr_content_free(wide);
}

static void test_encodings(void **state)
{
    struct fixture *f = *state;
    const struct mr_schema *schema = schema_of(f, "a string");
    struct mr_column *coded =
        sample_dictionary(&f->memory, mr_type_of(MR_TYPE_STRING), ROWS, 20, 6);
    struct mr_column *flat;
    assert_int_equal(mr_column_flatten(&f->memory, coded, &flat, &f->err), MR_OK);
    struct mr_batch *one = batch_of(f, schema, &coded), *two = batch_of(f, schema, &flat);
    struct mr_content_spec spec = {.range = 0, .skip = -1};
    struct mr_content *a = count(f, spec, one), *b = count(f, spec, two);
    assert_same(a, b);
    mr_content_free(a);
    mr_content_free(b);
    mr_batch_unref(one);
    mr_batch_unref(two);
}

static void test_differences(void **state)
{
    struct fixture *f = *state;
    static const int64_t other[] = {1, 2, 3, 4, 5}, swapped[] = {2, 1, 3, 4, 5};
    static const int64_t changed[] = {1, 2, 3, 4, 6};
    const char *schema = "a bigint, b bigint";
    struct mr_content *base = content_of(f, schema, plain, integers(f, MR_TYPE_INT64, small, 5),
                                         integers(f, MR_TYPE_INT64, other, 5));
    struct mr_content *moved = content_of(f, schema, plain, integers(f, MR_TYPE_INT64, small, 5),
                                          integers(f, MR_TYPE_INT64, swapped, 5));
    struct mr_content *value = content_of(f, schema, plain, integers(f, MR_TYPE_INT64, small, 5),
                                          integers(f, MR_TYPE_INT64, changed, 5));
    assert_int_equal(base->columns[1].sum, moved->columns[1].sum);
    assert_int_not_equal(base->sum, moved->sum);
    assert_int_equal(base->columns[0].sum, value->columns[0].sum);
    assert_int_not_equal(base->columns[1].sum, value->columns[1].sum);
    mr_content_free(moved);
    mr_content_free(value);
    /* the same values in the other column */
    moved = content_of(f, schema, plain, integers(f, MR_TYPE_INT64, other, 5),
                       integers(f, MR_TYPE_INT64, small, 5));
    assert_int_not_equal(base->sum, moved->sum);
    mr_content_free(moved);
    mr_content_free(base);
}

static void test_nulls(void **state)
{
    struct fixture *f = *state;
    struct mr_content *nulls, *empty;
    struct mr_value null = {.type = mr_type_of(MR_TYPE_STRING), .is_null = true};
    struct mr_value text = {.type = mr_type_of(MR_TYPE_STRING), .u.bytes = {"", 0}};
    struct mr_column *a, *b;
    assert_int_equal(mr_column_new_constant(&f->memory, null.type, &null, 9, &a, &f->err), MR_OK);
    assert_int_equal(mr_column_new_constant(&f->memory, text.type, &text, 9, &b, &f->err), MR_OK);
    nulls = content_of(f, "a string", plain, a, NULL);
    empty = content_of(f, "a string", plain, b, NULL);
    assert_int_equal(nulls->columns[0].nulls, 9);
    assert_int_equal(empty->columns[0].nulls, 0);
    assert_int_not_equal(nulls->columns[0].sum, empty->columns[0].sum);
    mr_content_free(nulls);
    mr_content_free(empty);
}

static struct mr_content *ids(struct fixture *f, int64_t from, int64_t step, int count)
{
    struct mr_content_spec spec = {.range = 0, .skip = -1, .nkeys = 1, .keys = first_column};
    int64_t *values = mr_calloc((size_t)count, sizeof *values);
    for (int i = 0; i < count; i++)
        values[i] = from + i * step;
    struct mr_content *content =
        content_of(f, "id bigint", spec, integers(f, MR_TYPE_INT64, values, count), NULL);
    mr_free(values);
    return content;
}

/* Ranges are few, cover every row once, and two contents come to the same ones. */
static void test_ranges(void **state)
{
    struct fixture *f = *state;
    struct mr_content *dense = ids(f, -500, 1, 5000);
    struct mr_content *sparse =
        ids(f, -INT64_C(4000000000000000000), INT64_C(80000000000000), 100000);
    assert_int_equal(dense->shift, 3);
    assert_true(dense->nranges <= MR_CONTENT_RANGES && sparse->nranges <= MR_CONTENT_RANGES);
    assert_int_equal(mr_content_merge(dense, sparse, &f->err), MR_OK);
    int64_t rows = 0;
    mr_content_sort(dense);
    for (int i = 0; i < dense->nranges; i++) {
        rows += dense->ranges[i].rows;
        assert_true(i == 0 || dense->ranges[i].key > dense->ranges[i - 1].key);
    }
    assert_int_equal(rows, 105000);
    mr_content_coarsen(dense, 63);
    assert_int_equal(dense->nranges, 2);
    mr_content_free(dense);
    mr_content_free(sparse);
}

/* The sample has the keys with the smallest hashes, however rows were divided. */
static void test_sample(void **state)
{
    struct fixture *f = *state;
    struct mr_content *whole = ids(f, 0, 1, 60000), *parts = ids(f, 40000, 1, 20000), *more;
    more = ids(f, 0, 1, 100);
    assert_int_equal(more->bound, UINT64_MAX);
    assert_int_equal(more->nkeys, 100);
    assert_int_equal(mr_content_merge(parts, more, &f->err), MR_OK);
    mr_content_free(more);
    more = ids(f, 100, 1, 39900);
    assert_int_equal(mr_content_merge(parts, more, &f->err), MR_OK);
    mr_content_sort(whole);
    mr_content_sort(parts);
    assert_int_equal(whole->nkeys, MR_CONTENT_SAMPLE);
    assert_int_equal(parts->nkeys, MR_CONTENT_SAMPLE);
    for (int i = 0; i < MR_CONTENT_SAMPLE; i++)
        assert_int_equal(whole->keys[i].key, parts->keys[i].key);
    mr_content_free(more);
    mr_content_free(whole);
    mr_content_free(parts);
}

static void test_range_text(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *type, *text;
        int64_t key;
        int shift;
    } cases[] = {
        {"bigint", "5", 5, 0},
        {"bigint", "16 .. 31", 1, 4},
        {"bigint", "-16 .. -1", -1, 4},
        {"decimal(10,2)", "0.16 .. 0.31", 1, 4},
        {"date", "1970-01-17 .. 1970-02-01", 1, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mr_type *type;
        struct mr_bytes text;
        assert_int_equal(mr_type_parse(&f->arena, cases[i].type, &type, &f->err), MR_OK);
        mr_bytes_init(&text, 1000);
        mr_content_range_text(type, cases[i].key, cases[i].shift, &text);
        mr_bytes_char(&text, '\0');
        assert_string_equal(text.data, cases[i].text);
        mr_bytes_reset(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_divided, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_bytes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_widths, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_encodings, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_differences, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_nulls, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ranges, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_sample, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_range_text, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
