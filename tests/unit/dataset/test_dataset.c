/*
 * test_dataset.c - names of partitions, grouping of rows in every encoding, limits of the partition writer.
 */
#include "col/column.h"
#include "contract/fixture.h"
#include "dataset/group.h"
#include "dataset/hive.h"
#include "dataset/hive_read.h"
#include "dataset/writer.h"
#include "format/parquet/parquet.h"
#include "format/text.h"
#include "store/local.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, (int64_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

/* ---- names ---- */

static void test_escape(void **state)
{
    (void)state;
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct mr_bytes out, back;
    mr_bytes_init(&out, 1 << 16);
    mr_bytes_init(&back, 1 << 16);
    mr_hive_escape(&out, all, 256);
    mr_hive_unescape(&back, out.data, out.size);
    assert_int_equal(back.size, 256);
    assert_memory_equal(back.data, all, 256);
    mr_bytes_clear(&out);
    mr_hive_escape(&out, "a b\"#%'*/:=?\\{}[]^\x7F~,;$&@!", 26);
    assert_string_equal(out.data, "a b%22%23%25%27%2A%2F%3A%3D%3F%5C%7B}%5B%5D%5E%7F~,;$&@!");
    mr_bytes_clear(&back);
    mr_hive_unescape(&back, "100%|%4|%zz|%41", 15);
    assert_string_equal(back.data, "100%|%4|%zz|A");
    mr_bytes_reset(&out);
    mr_bytes_reset(&back);
}

static void test_guess(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mr_hive_guess guess;
    } cases[] = {
        {NULL, MR_HIVE_GUESS_NULL},
        {"1", MR_HIVE_GUESS_INT},
        {"01", MR_HIVE_GUESS_INT},
        {"-2147483648", MR_HIVE_GUESS_INT},
        {"2147483648", MR_HIVE_GUESS_BIGINT},
        {"9223372036854775808", MR_HIVE_GUESS_STRING},
        {"1.5", MR_HIVE_GUESS_DOUBLE},
        {"1e3", MR_HIVE_GUESS_DOUBLE},
        {"NaN", MR_HIVE_GUESS_STRING},
        {"1.5f", MR_HIVE_GUESS_STRING},
        {"-", MR_HIVE_GUESS_STRING},
        {"2024-02-29", MR_HIVE_GUESS_DATE},
        {"2023-02-29", MR_HIVE_GUESS_STRING},
        {"2024-2-9", MR_HIVE_GUESS_STRING},
        {"2024-02-29 12:30:00", MR_HIVE_GUESS_TIMESTAMP},
        {"2024-02-29T12:30:00.5Z", MR_HIVE_GUESS_TIMESTAMP},
        {"2024-02-29 24:30:00", MR_HIVE_GUESS_STRING},
        {"true", MR_HIVE_GUESS_STRING},
        {"", MR_HIVE_GUESS_STRING},
        {"a b", MR_HIVE_GUESS_STRING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(mr_hive_guess(cases[i].text), cases[i].guess);
    assert_int_equal(mr_hive_widen(MR_HIVE_GUESS_NULL, MR_HIVE_GUESS_DATE), MR_HIVE_GUESS_DATE);
    assert_int_equal(mr_hive_widen(MR_HIVE_GUESS_DOUBLE, MR_HIVE_GUESS_INT), MR_HIVE_GUESS_DOUBLE);
    assert_int_equal(mr_hive_widen(MR_HIVE_GUESS_BIGINT, MR_HIVE_GUESS_DOUBLE),
                     MR_HIVE_GUESS_STRING);
    assert_int_equal(mr_hive_widen(MR_HIVE_GUESS_DATE, MR_HIVE_GUESS_INT), MR_HIVE_GUESS_STRING);
    assert_int_equal(mr_hive_widen(MR_HIVE_GUESS_DATE, MR_HIVE_GUESS_TIMESTAMP),
                     MR_HIVE_GUESS_TIMESTAMP);
}

/* What mr_hive_part wrote is read back; a wrong text is refused. */
static void test_values(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"BOOLEAN", "true", "flase"},
        {"TINYINT", "-128", "128"},
        {"INT", "2147483647", "2147483648"},
        {"BIGINT", "-9223372036854775808", "x"},
        {"DOUBLE", "-1.5E300", "1..2"},
        {"DECIMAL(5,2)", "-123.45", "1234.5"},
        {"DATE", "2024-02-29", "2024-02-30"},
        {"TIMESTAMP", "2024-02-29 12:30:00.5", "2024-02-29 12:30:00.5x"},
        {"TIMESTAMP_NTZ", "2024-02-29 12:30:00", "2024-02-29 12:30:00Z"},
        {"STRING", "a=b/c%20", NULL},
    };
    struct mr_tz *tz;
    FIXTURE_OK(&f, mr_tz_new("Europe/Berlin", &tz, &f.err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mr_type *type;
        const char *name, *text;
        struct mr_value value, back;
        FIXTURE_OK(&f, mr_type_parse(&f.arena, cases[i][0], &type, &f.err));
        assert_true(mr_hive_value(cases[i][1], type, tz, &value));
        struct mr_bytes part;
        mr_bytes_init(&part, 1000);
        mr_hive_part(&part, "k", &value, tz);
        FIXTURE_OK(&f, mr_hive_read_part((struct mr_slice){part.data, part.size}, &f.arena, &name,
                                         &text, &f.err));
        assert_string_equal(name, "k");
        assert_true(mr_hive_value(text, type, tz, &back));
        assert_int_equal(mr_value_compare(&value, &back), 0);
        assert_true(cases[i][2] == NULL || !mr_hive_value(cases[i][2], type, tz, &value));
        mr_bytes_reset(&part);
    }
    const char *name, *text;
    FIXTURE_OK(&f, mr_hive_read_part(mr_slice_of("a%3Db=" MR_HIVE_NULL), &f.arena, &name, &text,
                                     &f.err));
    assert_string_equal(name, "a=b");
    assert_null(text);
    FIXTURE_OK(&f, mr_hive_read_part(mr_slice_of("=b"), &f.arena, &name, &text, &f.err));
    assert_null(name);
    mr_tz_free(tz);
}

static const char *part_of(const char *type, const char *text, const char *zone)
{
    char schema[64];
    const char *const rows[] = {text, NULL};
    snprintf(schema, sizeof schema, "k %s", type);
    struct mr_batch *batch = fixture_batch(&f, schema, rows);
    struct mr_value value;
    struct mr_tz *tz = NULL;
    struct mr_bytes out;
    if (zone)
        FIXTURE_OK(&f, mr_tz_new(zone, &tz, &f.err));
    mr_column_get(batch->columns[0], 0, &value);
    mr_bytes_init(&out, 1 << 16);
    mr_hive_part(&out, "k", &value, tz);
    const char *copy = mr_arena_strndup(&f.arena, out.data, out.size);
    mr_bytes_reset(&out);
    mr_batch_unref(batch);
    mr_tz_free(tz);
    return copy;
}

/* As Spark 3.5 names them. */
static void test_parts(void **state)
{
    (void)state;
    assert_string_equal(part_of("INT", "-5", NULL), "k=-5");
    assert_string_equal(part_of("BOOLEAN", "1", NULL), "k=true");
    assert_string_equal(part_of("DECIMAL(9,2)", "1.5", NULL), "k=1.50");
    assert_string_equal(part_of("DOUBLE", "1e10", NULL), "k=1.0E10");
    assert_string_equal(part_of("DOUBLE", "nan", NULL), "k=NaN");
    assert_string_equal(part_of("DATE", "19782", NULL), "k=2024-02-29");
    assert_string_equal(part_of("TIMESTAMP", "0", NULL), "k=1970-01-01 00%3A00%3A00");
    assert_string_equal(part_of("TIMESTAMP", "500000", "Europe/Berlin"),
                        "k=1970-01-01 01%3A00%3A00.5");
    assert_string_equal(part_of("TIMESTAMP_NTZ", "0", "Europe/Berlin"),
                        "k=1970-01-01 00%3A00%3A00");
    assert_string_equal(part_of("STRING", "~", NULL), "k=" MR_HIVE_NULL);
    assert_string_equal(part_of("STRING", "", NULL), "k=" MR_HIVE_NULL);
    assert_string_equal(part_of("STRING", "a/b", NULL), "k=a%2Fb");
}

/* ---- grouping ---- */

static void check_groups(const struct mr_batch *batch, const int *columns, int ncolumns,
                         const int *wanted)
{
    struct mr_grouper grouper;
    mr_grouper_init(&grouper, &f.memory);
    FIXTURE_OK(&f, mr_grouper_run(&grouper, batch, columns, ncolumns, &f.err));
    int seen = 0;
    for (int g = 0; g < grouper.ngroups; g++) {
        for (int i = grouper.starts[g]; i < grouper.starts[g + 1]; i++, seen++) {
            assert_int_equal(wanted[grouper.rows[i]], g);
            if (i > grouper.starts[g])
                assert_true(grouper.rows[i] > grouper.rows[i - 1]);
        }
    }
    assert_int_equal(seen, batch->rows);
    mr_grouper_reset(&grouper);
}

static void test_group(void **state)
{
    (void)state;
    const char *const rows[] = {"1|a|1.5|10|1", "1|b|1.5|10|1", "2|a|1.5|10|1",
                                "1|a|1.5|10|1", "~|a|1.5|10|1", "1|~|1.5|10|1",
                                "1||1.5|10|1",  "~|a|2.5|11|0", NULL};
    struct mr_batch *batch =
        fixture_batch(&f, "i INT, s STRING, d DOUBLE, e DECIMAL(30,0), b BOOLEAN", rows);
    const int i[] = {0}, is[] = {0, 1}, d[] = {2}, e[] = {3, 4}, all[] = {4, 3, 2, 1, 0};
    check_groups(batch, i, 1, (const int[]){0, 0, 1, 0, 2, 0, 0, 2});
    check_groups(batch, is, 2, (const int[]){0, 1, 2, 0, 3, 4, 5, 3});
    check_groups(batch, d, 1, (const int[]){0, 0, 0, 0, 0, 0, 0, 1});
    check_groups(batch, e, 2, (const int[]){0, 0, 0, 0, 0, 0, 0, 1});
    check_groups(batch, all, 5, (const int[]){0, 1, 2, 0, 3, 4, 5, 6});
    mr_batch_unref(batch);
}

static void test_group_encodings(void **state)
{
    (void)state;
    const char *const entries[] = {"x", "y", "x", "unused", NULL}; /* an entry may occur twice */
    const char *const codes[] = {"0", "1", "2", "~", "1", NULL};
    struct mr_batch *words = fixture_batch(&f, "s STRING", entries);
    struct mr_batch *numbers = fixture_batch(&f, "c INT", codes);
    struct mr_column *columns[2];
    struct mr_column *code = numbers->columns[0];
    FIXTURE_OK(&f, mr_column_new_dictionary(mr_column_ref(words->columns[0]), 5, 1,
                                            mr_buffer_ref(code->validity),
                                            mr_buffer_ref(code->values), &columns[0], &f.err));
    struct mr_value value = {.type = mr_type_of(MR_TYPE_INT64), .u.i64 = 7};
    FIXTURE_OK(&f, mr_column_new_constant(&f.memory, value.type, &value, 5, &columns[1], &f.err));
    struct mr_batch *batch;
    FIXTURE_OK(&f,
               mr_batch_new(fixture_schema(&f, "s STRING, k BIGINT"), 5, columns, &batch, &f.err));
    const int both[] = {1, 0};
    check_groups(batch, both, 2, (const int[]){0, 1, 0, 2, 1});
    mr_batch_unref(batch);
    mr_batch_unref(words);
    mr_batch_unref(numbers);
}

/* ---- the writer ---- */

struct sealed_files {
    int files;
    int64_t rows;
    int64_t largest;
};

static enum mr_status count_file(void *context, const struct mr_dataset_file *file,
                                 struct mr_error *err)
{
    struct sealed_files *sealed = context;
    (void)err;
    sealed->files++;
    sealed->rows += file->statistics->rows;
    if (file->statistics->bytes > sealed->largest)
        sealed->largest = file->statistics->bytes;
    return MR_OK;
}

/* `rows` rows whose partition runs through 0..partitions-1, again and again, in batches of 1000. */
static void write_shuffled(struct mr_dataset_write *write, int rows, int partitions,
                           struct sealed_files *sealed)
{
    struct mr_dataset_writer *writer;
    const int columns[] = {0};
    write->schema = fixture_schema(&f, "p INT, t STRING");
    write->file_schema = fixture_schema(&f, "t STRING");
    write->partition_columns = columns;
    write->npartition_columns = 1;
    if (!write->format)
        write->format = &mr_format_json;
    if (!write->compression)
        write->compression = "none";
    write->level = INT_MIN;
    write->store = &mr_store_local;
    write->prefix = "";
    write->tag = "tag";
    write->identity = "0123456789abcdef";
    write->extension = "json";
    write->runtime = &f.runtime;
    write->sealed = count_file;
    write->context = sealed;
    FIXTURE_OK(&f, mr_store_local.open(f.directory, NULL, &f.runtime, &write->handle, &f.err));
    FIXTURE_OK(&f, mr_dataset_writer_new(write, &writer, &f.err));
    static char texts[1000][64];
    static const char *lines[1001];
    for (int at = 0; at < rows; at += 1000) {
        for (int i = 0; i < 1000; i++) {
            snprintf(texts[i], sizeof texts[i], "%d|row %08d and so on and so on",
                     (at + i) % partitions, at + i);
            lines[i] = texts[i];
        }
        struct mr_batch *batch = fixture_batch(&f, "p INT, t STRING", lines);
        FIXTURE_OK(&f, mr_dataset_writer_add(writer, batch, &f.err));
        mr_batch_unref(batch);
    }
    FIXTURE_OK(&f, mr_dataset_writer_finish(writer, &f.err));
    mr_dataset_writer_free(writer);
    mr_store_local.close(write->handle);
}

static void test_many_partitions(void **state)
{
    (void)state;
    struct sealed_files sealed = {0};
    struct mr_dataset_write write = {.memory_share = 1 << 20, .max_open = 1000};
    write_shuffled(&write, 50000, 300, &sealed); /* more files than descriptors are kept */
    assert_int_equal(sealed.files, 300);
    assert_int_equal(sealed.rows, 50000);
    assert_true(mr_memory_peak(&f.memory) < (int64_t)4 << 20);
}

/* Parquet keeps memory for every open file: the share and the account hold all the same. */
static void test_many_parquet_partitions(void **state)
{
    (void)state;
    struct sealed_files sealed = {0};
    struct mr_dataset_write write = {.format = &mr_format_parquet, .extension = "parquet"};
    write_shuffled(&write, 30000, 1000, &sealed);
    assert_int_equal(sealed.rows, 30000);
    assert_int_equal(sealed.files, 1000);
    assert_true(mr_memory_peak(&f.memory) < (int64_t)40 << 20);
}

/* Not even the floors of a thousand files fit: more files than partitions, but no failure and no file a row. */
static void test_starved_parquet(void **state)
{
    (void)state;
    struct sealed_files sealed = {0};
    struct mr_dataset_write write = {.format = &mr_format_parquet,
                                     .extension = "parquet",
                                     .memory_share = 2 << 20};
    write_shuffled(&write, 4000, 500, &sealed);
    assert_int_equal(sealed.rows, 4000);
    assert_in_range(sealed.files, 501, 3999);
    assert_true(mr_memory_peak(&f.memory) < (int64_t)10 << 20);
}

static void test_open_limit(void **state)
{
    (void)state;
    struct sealed_files sealed = {0};
    struct mr_dataset_write write = {.max_open = 3};
    write_shuffled(&write, 2000, 5, &sealed);
    assert_int_equal(sealed.rows, 2000);
    assert_true(sealed.files > 5);
}

static void test_target_size(void **state)
{
    (void)state;
    struct sealed_files sealed = {0};
    struct mr_dataset_write write = {.target_file_size = 100000};
    write_shuffled(&write, 20000, 2, &sealed); /* about 0.9 MB */
    assert_int_equal(sealed.rows, 20000);
    assert_in_range(sealed.files, 8, 12);
    assert_in_range(sealed.largest, 90000, 130000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_escape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guess, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_encodings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_partitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_parquet_partitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_starved_parquet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_target_size, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
