/*
 * The CSV reader: the forms of text, bad rows, inference, splits at every byte, and limits.
 */
#include "base/hash.h"
#include "codec/codecs.h"
#include "format/text.h"
#include "unit/format/text_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CSV &mr_format_csv

static void expect(struct text_fixture *f, const char *data, const char *schema, const char *rows)
{
    text_file(f, data, strlen(data), schema);
    if (text_read(f, CSV, 0, INT64_MAX) != MR_OK)
        fail_msg("%s: %s", f->err.where, f->err.message);
    assert_string_equal(f->out.data ? f->out.data : "", rows);
}

static void test_forms(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, CSV, NULL, 0);
    expect(&f, "a,b\n1,x\n2,\n3,\"\"\n", "a int, b string",
           "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":null}\n{\"a\":3,\"b\":\"\"}\n");
    expect(&f,
           "\xef\xbb\xbf"
           "a,b\r\n1,x\r\n\r\n2,\"y\"\r\n",
           "a int, b string", "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n");
    expect(&f, "a\n\"1\"\n\"2\"", "a bigint", "{\"a\":1}\n{\"a\":2}\n");
    expect(&f, "a,b\n\"x\ny\",\"p,q\"\n\"\"\"\",\"a\"\"b\"\n", "a string, b string",
           "{\"a\":\"x\\ny\",\"b\":\"p,q\"}\n{\"a\":\"\\\"\",\"b\":\"a\\\"b\"}\n");
    expect(&f, "b,a\nx\"y,5\n", "a int, b string", "{\"a\":5,\"b\":\"x\\\"y\"}\n");
    expect(&f, "a,b\n1,2\n", "b int, c int", "{\"b\":2,\"c\":null}\n");
    expect(&f, "", "a int", "");
    expect(&f, "a\n", "a int", "");
    text_reset(&f);
}

static void test_types(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, CSV, NULL, 0);
    expect(&f, "a\n-128\n 127 \n", "a tinyint", "{\"a\":-128}\n{\"a\":127}\n");
    expect(&f, "a\n9223372036854775807\n-9223372036854775808\n", "a bigint",
           "{\"a\":9223372036854775807}\n{\"a\":-9223372036854775808}\n");
    expect(
        &f, "a\n1.5\n-0.01\n12e1\n1.500\n.5\n5.\n", "a decimal(5,2)",
        "{\"a\":1.50}\n{\"a\":-0.01}\n{\"a\":120.00}\n{\"a\":1.50}\n{\"a\":0.50}\n{\"a\":5.00}\n");
    expect(&f, "a\n99999999999999999999999999999999999999\n0.1e1\n", "a decimal(38,0)",
           "{\"a\":99999999999999999999999999999999999999}\n{\"a\":1}\n");
    expect(&f, "a\n12345678901234567890.123456789\n", "a decimal(38,10)",
           "{\"a\":12345678901234567890.1234567890}\n");
    expect(
        &f, "a\n1.5\nNaN\n-Infinity\n1e400\n0.1\n", "a double",
        "{\"a\":1.5}\n{\"a\":\"NaN\"}\n{\"a\":\"-Infinity\"}\n{\"a\":\"Infinity\"}\n{\"a\":0.1}\n");
    expect(&f, "a\ntrue\nF\n1\n", "a boolean", "{\"a\":true}\n{\"a\":false}\n{\"a\":true}\n");
    expect(&f, "a\n2024-02-29\n0001-01-01\n-0044-03-15\n2024-1-2\n", "a date",
           "{\"a\":\"2024-02-29\"}\n{\"a\":\"0001-01-01\"}\n{\"a\":\"-0044-03-15\"}\n{\"a\":\"2024-"
           "01-02\"}\n");
    expect(&f,
           "a\n2024-02-29T12:30:00Z\n2024-02-29 12:30:00.123456789+02:00\n2024-02-29\n2024-02-29 "
           "01:02\n",
           "a timestamp",
           "{\"a\":\"2024-02-29T12:30:00Z\"}\n{\"a\":\"2024-02-29T10:30:00.123456Z\"}\n"
           "{\"a\":\"2024-02-29T00:00:00Z\"}\n{\"a\":\"2024-02-29T01:02:00Z\"}\n");
    expect(&f, "a\n2024-02-29 12:30:00\n", "a timestamp_ntz", "{\"a\":\"2024-02-29T12:30:00\"}\n");
    expect(&f, "a\n12:30:00.5\n", "a time", "{\"a\":\"12:30:00.5\"}\n");
    expect(&f, "a\nP1Y2M-3DT-1H-30M-0.5S\n", "a interval", "{\"a\":\"P1Y2M-3DT-1H-30M-0.5S\"}\n");
    expect(&f, "a\n123E4567-e89b-12d3-a456-426614174000\n", "a uuid",
           "{\"a\":\"123e4567-e89b-12d3-a456-426614174000\"}\n");
    expect(&f, "a\naGVsbG8=\naGk=\n", "a binary", "{\"a\":\"aGVsbG8=\"}\n{\"a\":\"aGk=\"}\n");
    expect(&f, "a,b\n\"[1, null]\",\"{\"\"x\"\": {}}\"\n,\n", "a array<int>, b json",
           "{\"a\":[1,null],\"b\":{\"x\":{}}}\n{\"a\":null,\"b\":null}\n");
    text_reset(&f);
}

static void expect_fault(const char *data, const char *schema, const char *reason)
{
    struct text_fixture f;
    text_init(&f, CSV, NULL, 0);
    text_file(&f, data, strlen(data), schema);
    f.read.on_error = MR_ON_ERROR_DROP;
    assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_OK);
    assert_int_equal(f.rows, 0);
    if (!f.bad.data || strstr(f.bad.data, reason) == NULL)
        fail_msg("'%s' is not in '%s'", reason, f.bad.data);
    f.read.on_error = MR_ON_ERROR_FAIL;
    assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_SOURCE);
    assert_string_equal(f.err.where, "file: line 2");
    text_reset(&f);
}

static void test_faults(void **state)
{
    (void)state;
    expect_fault("a\n128\n", "a tinyint", "2:2:a:'128' is out of the range of tinyint|128\n");
    expect_fault("a\n1.0\n", "a int", "'1.0' is no int");
    expect_fault("a\n99999999999999999999\n", "a bigint", "out of the range");
    expect_fault("a\n1.005\n", "a decimal(5,2)", "more digits behind the point");
    expect_fault("a\n1000\n", "a decimal(5,2)", "out of the range");
    expect_fault("a\n2023-02-29\n", "a date", "no date");
    expect_fault("a\n2024-02-29 24:00:00\n", "a timestamp", "no timestamp");
    expect_fault("a\n2024-02-29 12:00:00Z\n", "a timestamp_ntz", "no timestamp_ntz");
    expect_fault("a\nyes!\n", "a boolean", "no boolean");
    expect_fault("a\naGk\n", "a binary", "no binary");
    expect_fault("a\n\xff\n", "a string", "not valid UTF-8");
    expect_fault("a\n\"[1,x]\"\n", "a array<int>", "2:2:a:no JSON value");
    expect_fault("a\n[1]]\n", "a json", "text behind the value");
    expect_fault("a\n\"[1,\"\"y\"\"]\"\n", "a array<int>", "is no int");
    expect_fault("a,b\n1\n", "a int, b int", "2:4:-:1 values, 2 are expected|1\n");
    expect_fault("a,b\n1,2,3\n", "a int", "3 values, 2 are expected");
    expect_fault("a,b\n\"1\"x,2\n", "a int", "text behind a closing quote");
    expect_fault("a,b\n,2\n", "a int not null, b int", "NOT NULL");
    expect_fault("a,b\n\"1,2\n", "a int", "a quote is not closed");
}

static void test_null_mode(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, CSV, NULL, 0);
    f.read.on_error = MR_ON_ERROR_NULL;
    expect(
        &f, "a,b\nx,1\n2\n\"3\"y,4\n5,6,7\n", "a int, b int",
        "{\"a\":null,\"b\":1}\n{\"a\":2,\"b\":null}\n{\"a\":null,\"b\":null}\n{\"a\":5,\"b\":6}\n");
    assert_string_equal(f.bad.data, "2:4:a:'x' is no int|x,1\n"
                                    "3:8:-:1 values, 2 are expected|2\n"
                                    "4:10:-:there is text behind a closing quote|\"3\"y,4\n"
                                    "5:17:-:3 values, 2 are expected|5,6,7\n");
    text_reset(&f);
}

/* An open quote costs its line only. */
static void test_open_quote(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, CSV, NULL, 0);
    f.read.on_error = MR_ON_ERROR_DROP;
    expect(&f, "a,b\n1,x\n\"2,y\n3,z\n4,w\n", "a int, b string",
           "{\"a\":1,\"b\":\"x\"}\n{\"a\":3,\"b\":\"z\"}\n{\"a\":4,\"b\":\"w\"}\n");
    assert_string_equal(f.bad.data, "3:8:-:a quote is not closed|\"2,y\n");
    text_reset(&f);
}

static void test_options(void **state)
{
    (void)state;
    struct text_fixture f;
    const char *const tabs[] = {"header", "false", "delimiter", "\\t", "nullValue", "\\N",
                                "escape", "\\",    "quote",     "'",   NULL};
    text_init(&f, CSV, tabs, 0);
    expect(&f, "1\t\\N\n2\t\n3\t'a\\'b\\\\c''d'\n", "a int, b string",
           "{\"a\":1,\"b\":null}\n{\"a\":2,\"b\":\"\"}\n{\"a\":3,\"b\":\"a'b\\\\c'd\"}\n");
    expect(&f, "1\t2\t3\n", "_c2 int, _c0 int", "{\"_c2\":3,\"_c0\":1}\n");
    expect(&f, "1\t\n", "a int, b bigint", "{\"a\":1,\"b\":null}\n");
    text_reset(&f);
    const char *const lines[] = {"multiLine", "false", NULL};
    text_init(&f, CSV, lines, 0);
    f.read.on_error = MR_ON_ERROR_DROP;
    expect(&f, "a,b\n1,\"x\ny\"\n2,z\n", "a int, b string", "{\"a\":2,\"b\":\"z\"}\n");
    assert_string_equal(f.bad.data, "2:4:-:a quote is not closed at the end of the line|1,\"x\n"
                                    "3:9:-:1 values, 2 are expected|y\"\n");
    text_reset(&f);
}

static void infers(const char *data, const char *const *options, const char *schema)
{
    struct text_fixture f;
    struct mr_file_info info;
    text_init(&f, CSV, options, 0);
    text_file(&f, data, strlen(data), NULL);
    const char *found = text_probe(&f, CSV, &info);
    if (!found)
        fail_msg("%s", f.err.message);
    assert_string_equal(found, schema);
    assert_true(info.splittable);
    text_reset(&f);
}

static void test_inference(void **state)
{
    (void)state;
    infers("a,b,c,d,e\n1,1.5,true,2024-01-01,x\n,,,,\n-2,3,FALSE,2024-01-02,1\n", NULL,
           "a bigint, b double, c boolean, d date, e string");
    infers("a,b,c,d,e\n2024-01-01,99999999999999999999,007,+49,\"\"\n"
           "2024-01-01 10:00:00Z,1,8,1,\"\"\n",
           NULL, "a timestamp, b decimal(38,0), c string, d string, e string");
    infers("a,\"\",c\n", NULL, "a string, _c1 string, c string");
    infers("", NULL, "");
    const char *const plain[] = {"inferSchema", "false", "header", "false", NULL};
    infers("1,2\n", plain, "_c0 string, _c1 string");
}

/* Every cut of a file, also two: each row comes once, in order. */
static void split_all(const char *data, const char *schema, const char *const *options,
                      bool may_refuse)
{
    struct text_fixture f;
    text_init(&f, CSV, options, 0);
    size_t size = strlen(data);
    text_file(&f, data, size, schema);
    assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_OK);
    char *whole = mr_arena_strdup(&f.arena, f.out.data);
    int refused = 0;
    for (size_t a = 0; a <= size; a++) {
        for (size_t b = a; b <= size; b += 1 + size / 40) {
            text_clear(&f);
            enum mr_status status = text_read(&f, CSV, 0, (int64_t)a);
            if (status == MR_OK)
                status = text_read(&f, CSV, (int64_t)a, (int64_t)(b - a));
            if (status == MR_OK)
                status = text_read(&f, CSV, (int64_t)b, INT64_MAX);
            if (status != MR_OK && may_refuse) {
                refused++;
                continue;
            }
            if (status != MR_OK)
                fail_msg("cut at %zu and %zu: %s", a, b, f.err.message);
            if (strcmp(f.out.data, whole) != 0)
                fail_msg("cut at %zu and %zu:\n%s", a, b, f.out.data);
        }
    }
    assert_true(!may_refuse || refused > 0);
    text_reset(&f);
}

static void test_splits(void **state)
{
    (void)state;
    const char *const lines[] = {"multiLine", "false", NULL};
    split_all("a,b\n1,x\n2,y\n3,z\n\n4,w\n5,v", "a int, b string", NULL, false);
    split_all("a,b\r\n1,x\r\n\r\n2,y\r\n3,z\r\n", "a int, b string", lines, false);
    split_all("a,b\n1,\"x\ny\"\n2,\"p,\"\n3,\"\"\n4,\"\"\"q\"\"\"\n5,r\n\"6\",\"s\n7,t\"\n",
              "a int, b string", NULL, false);
    split_all("a\n\"x\n1\n\"\n2\n", "a string", NULL, true);
    /* Quotes between delimiters could be either end: refused, never wrong. */
    split_all("a,b,c\nx,\",\",y\nz,\",\",w\n\"\n\",\",\n\",1\n", "a string, b string, c string",
              NULL, true);
}

static void test_positions(void **state)
{
    (void)state;
    struct text_fixture f;
    const char *data = "a\n10\n11\nx\n13\n14\n";
    text_init(&f, CSV, NULL, 0);
    f.read.on_error = MR_ON_ERROR_DROP;
    f.read.row_positions = true;
    text_file(&f, data, strlen(data), "a int");
    assert_int_equal(text_read(&f, CSV, 0, 6), MR_OK);
    assert_int_equal(text_read(&f, CSV, 6, INT64_MAX), MR_OK);
    assert_string_equal(f.out.data,
                        "{\"a\":10,\"row position\":0}\n{\"a\":11,\"row position\":1}\n"
                        "{\"a\":13,\"row position\":3}\n{\"a\":14,\"row position\":4}\n");
    text_reset(&f);
}

/* Cells of test_blocks, plain ones first. */
static const char *const cells[] = {
    "0",        "7",     "-3",   "12.5",      "-0.0",       ".5",          "5.",      "1.2.3",
    "-",        "",      "+4",   " 9",        "127",        "128",         "-128",    "-129",
    "99.9",     "100.0", "1e2",  "NA",        "00012",      "-99.99",      "1.23456", "12345678",
    "0.001",    "1x",    ".",    "123456789", "2024-02-29", "caf\xc3\xa9", "\"q\"",   "a\"b",
    "\"x\ny\"", "true",  "\xff", "9999999.9", "-.5",        "12:30",       "--1",     "1234567.",
};

/* Lines of four cells; mostly plain ones where `odd` is large, so that blocks of all sizes are met. */
static void make_lines(struct mr_bytes *text, uint64_t seed, int odd)
{
    int rows = 1 + (int)(mr_hash_mix(seed++) % 1500);
    mr_bytes_text(text, "a,b,c,d\n");
    for (int row = 0; row < rows; row++) {
        bool plain = mr_hash_mix(seed++) % (unsigned)odd > 0;
        size_t most = plain ? 3 : sizeof cells / sizeof *cells;
        for (int c = 0; c < 4; c++)
            mr_bytes_printf(text, "%s%s", c ? "," : "", cells[mr_hash_mix(seed++) % most]);
        if (!plain && mr_hash_mix(seed++) % 40 == 0)
            mr_bytes_text(text, ",more");
        bool empty = !plain && mr_hash_mix(seed++) % 50 == 0;
        mr_bytes_text(text, empty ? "\r\n\n" : odd % 3 ? "\n" : "\r\n");
    }
    text->size -= mr_hash_mix(seed) % 3;
}

/* Rows without the column of positions. */
static void without_positions(struct mr_bytes *rows)
{
    char *to = rows->data;
    for (const char *at = rows->data; at && *at;) {
        if (strncmp(at, ",\"row position\"", 15) == 0)
            at = strchr(at, '}');
        *to++ = *at++;
    }
    if (to)
        *to = '\0';
}

/* Positions are counted record by record, which turns blocks off. */
static void compare_blocks(const struct mr_bytes *text, const char *schema,
                           const char *const *dialect, enum mr_on_error on_error)
{
    struct text_fixture f[2];
    enum mr_status status[2];
    for (int k = 0; k < 2; k++) {
        text_init(&f[k], CSV, dialect, 0);
        f[k].read.on_error = on_error;
        f[k].read.row_positions = k == 1;
        text_file(&f[k], text->data, text->size, schema);
        status[k] = text_read(&f[k], CSV, 0, INT64_MAX);
    }
    without_positions(&f[1].out);
    assert_int_equal(status[0], status[1]);
    assert_string_equal(f[0].err.message, f[1].err.message);
    assert_string_equal(f[0].err.where, f[1].err.where);
    assert_string_equal(f[0].out.data, f[1].out.data);
    assert_string_equal(f[0].bad.data, f[1].bad.data);
    for (int k = 0; k < 2; k++)
        text_reset(&f[k]);
}

/* Blocks of plain records give what records one by one give, rows and faults alike. */
static void test_blocks(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "a string, b double, c int, d decimal(4,1)",
        "b tinyint, a decimal(18,6), c bigint, d string",
        "a decimal(30,2), c smallint, d float, e string",
        "d date, a boolean, b timestamp, c double not null",
        "c string not null, a bigint",
    };
    static const char *const na[] = {"nullValue", "NA", NULL};
    static const char *const seven[] = {"nullValue", "7", "escape", "\\", NULL};
    static const char *const *const dialects[] = {NULL, na, seven};
    for (int round = 0; round < 90; round++) {
        struct mr_bytes text;
        mr_bytes_init(&text, (size_t)1 << 20);
        make_lines(&text, (uint64_t)round * 100000, 1 << round % 9);
        for (int i = MR_ON_ERROR_FAIL; i <= MR_ON_ERROR_DROP; i++)
            compare_blocks(&text, schemas[round % 5], dialects[round % 3], (enum mr_on_error)i);
        mr_bytes_reset(&text);
    }
}

/* The line of an error in a later range is counted; no columns at all are rows only. */
static void test_later_range(void **state)
{
    (void)state;
    struct text_fixture f;
    const char *data = "a\n10\n11\nx\n13\n14\n";
    text_init(&f, CSV, NULL, 0);
    text_file(&f, data, strlen(data), "a int");
    assert_int_equal(text_read(&f, CSV, 6, INT64_MAX), MR_SOURCE);
    assert_string_equal(f.err.where, "file: line 4");
    text_file(&f, data, strlen(data), "a int");
    f.read.schema = mr_schema_new(&f.arena, NULL, 0);
    assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_OK);
    assert_int_equal(f.rows, 5);
    text_reset(&f);
}

/* 200,000 rows of 30 bytes, gzip and zstd in members of 64 KiB, in 24 MiB of memory. */
static void test_compressed(void **state)
{
    (void)state;
    static const struct mr_codec *const codecs[] = {&mr_codec_gzip, &mr_codec_zstd};
    struct mr_bytes text, packed;
    struct mr_error err;
    mr_bytes_init(&text, (size_t)1 << 30);
    mr_bytes_init(&packed, (size_t)1 << 30);
    mr_bytes_text(&text, "id,name\n");
    for (int i = 0; i < 200000; i++)
        mr_bytes_printf(&text, "%d,\"name of number %d\"\n", i, i);
    for (int c = 0; c < 2; c++) {
        struct text_fixture f;
        mr_bytes_clear(&packed);
        for (size_t at = 0; at < text.size; at += 65536) {
            size_t size = text.size - at < 65536 ? text.size - at : 65536, made = 0;
            size_t bound = codecs[c]->bound(size);
            assert_int_equal(codecs[c]->compress(text.data + at, size, INT_MIN,
                                                 mr_bytes_reserve(&packed, bound), bound, &made,
                                                 NULL, &err),
                             MR_OK);
            packed.size += made;
        }
        text_init(&f, CSV, NULL, (int64_t)24 << 20);
        text_file(&f, packed.data, packed.size, "id bigint, name string");
        assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_OK);
        assert_int_equal(f.rows, 200000);
        text_clear(&f);
        assert_int_equal(text_read(&f, CSV, 5, INT64_MAX), MR_OK);
        assert_int_equal(f.rows, 0);
        text_file(&f, packed.data, packed.size - 3, "id bigint, name string");
        assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_SOURCE);
        text_reset(&f);
    }
    mr_bytes_reset(&text);
    mr_bytes_reset(&packed);
}

/* One value of 9 MB, in a window that grows; one that is longer than any record may be. */
static void test_huge(void **state)
{
    (void)state;
    struct text_fixture f;
    size_t size = 9000000;
    char *data = mr_alloc((size_t)80 << 20);
    memset(data, 'x', (size_t)80 << 20);
    memcpy(data, "a,b\n1,\"", 7);
    memcpy(data + size, "\"\n2,y\n", 6);
    text_init(&f, CSV, NULL, 0);
    text_file(&f, data, size + 6, "a int, b string");
    assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_OK);
    assert_int_equal(f.rows, 2);
    assert_true(f.out.size > size);
    memset(data + 6, 'x', (size_t)80 << 20 >> 1);
    text_file(&f, data, (size_t)80 << 20, "a int, b string");
    assert_int_equal(text_read(&f, CSV, 0, INT64_MAX), MR_SOURCE);
    assert_true(mr_memory_peak(&f.memory) < (int64_t)300 << 20);
    text_reset(&f);
    mr_free(data);
}

/* Any text gives rows or an error, the same rows however it is cut. */
static void test_cut_files(void **state)
{
    (void)state;
    const char *data = "a,b\n1,\"x\ny\"\n2,\"p,\"\n3,\"\"\n4,\"\"\"q\"\"\"\n5,r\n";
    for (size_t size = 0; size <= strlen(data); size++) {
        struct text_fixture f;
        text_init(&f, CSV, NULL, 0);
        f.read.on_error = MR_ON_ERROR_DROP;
        char *copy = mr_alloc(size);
        memcpy(copy, data, size);
        text_file(&f, copy, size, "a int, b string");
        text_read(&f, CSV, 0, INT64_MAX);
        text_reset(&f);
        mr_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_types),
        cmocka_unit_test(test_faults),      cmocka_unit_test(test_null_mode),
        cmocka_unit_test(test_open_quote),  cmocka_unit_test(test_options),
        cmocka_unit_test(test_inference),   cmocka_unit_test(test_splits),
        cmocka_unit_test(test_positions),   cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_later_range), cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_huge),        cmocka_unit_test(test_cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
