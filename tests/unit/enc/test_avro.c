/*
 * Avro as rows: schema resolution as a table, what is damaged, schemas, compatibility. Whole files are the business of
 * tests/interop/test_avro.py.
 */
#include "col/batch.h"
#include "enc/avro_check.h"
#include "enc/avro_decode.h"
#include "enc/avro_encode.h"
#include "enc/avro_type.h"
#include "enc/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_error err;
    struct mr_bytes text;
};

static void start(struct fixture *f)
{
    *f = (struct fixture){.err = {0}};
    mr_arena_init(&f->arena, NULL);
    mr_memory_init(&f->memory, NULL, "test", 64 << 20);
    mr_bytes_init(&f->text, 1 << 20);
}

static void stop(struct fixture *f)
{
    assert_int_equal(mr_memory_used(&f->memory), 0);
    mr_bytes_reset(&f->text);
    mr_arena_reset(&f->arena);
}

static const struct mr_avro_document *parse(struct fixture *f, const char *text)
{
    const struct mr_avro_document *out = NULL;
    f->err = (struct mr_error){0};
    if (mr_avro_parse(&f->arena, mr_slice_of(text), true, &out, &f->err) != MR_OK)
        assert_true(f->err.message[0]);
    return out;
}

static size_t unhex(const char *hex, char *out)
{
    size_t size = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        char pair[3] = {hex[0], hex[1], 0};
        out[size++] = (char)strtol(pair, NULL, 16);
        hex++;
    }
    return size;
}

/* One row as JSON in f->text. */
static enum mr_status decode(struct fixture *f, const char *writer, const char *reader,
                             const char *columns, struct mr_slice data, size_t *used)
{
    struct mr_avro_resolution resolution = {.writer = parse(f, writer)};
    const struct mr_avro_plan *plan;
    struct mr_avro_decoder *decoder;
    struct mr_column *out[16];
    int64_t done;
    assert_non_null(resolution.writer);
    resolution.reader = reader ? parse(f, reader) : NULL;
    if (columns)
        MR_TRY(mr_schema_parse(&f->arena, columns, &resolution.columns, &f->err));
    MR_TRY(mr_avro_resolve(&f->arena, &resolution, &plan, &f->err));
    assert_int_equal(mr_avro_decoder_new(plan, &f->memory, &decoder, &f->err), MR_OK);
    enum mr_status status = mr_avro_decode(decoder, data, 1, data.size, used, &done, &f->err);
    mr_bytes_clear(&f->text);
    if (status == MR_OK) {
        const struct mr_schema *schema = mr_avro_plan_columns(plan);
        struct mr_batch *batch;
        struct mr_json_rows *rows;
        assert_int_equal(mr_avro_decoder_finish(decoder, out, &f->err), MR_OK);
        for (int i = 0; i < schema->nfields; i++)
            assert_int_equal(mr_column_check(out[i], &f->err), MR_OK);
        assert_int_equal(mr_batch_new(schema, 1, out, &batch, &f->err), MR_OK);
        assert_int_equal(mr_json_rows_new(schema, &rows, &f->err), MR_OK);
        mr_json_rows_encode(rows, batch, 0, 1, &f->text);
        mr_json_rows_free(rows);
        mr_batch_unref(batch);
    }
    mr_avro_decoder_free(decoder);
    return status;
}

/* ---- resolution: writer's type, reader's type, bytes, the value as JSON or a part of the message ---- */

static const struct {
    const char *writer, *reader, *bytes, *value, *message;
} matrix[] = {
    {"\"int\"", "\"int\"", "03", "-2", NULL},
    {"\"int\"", "\"long\"", "03", "-2", NULL},
    {"\"int\"", "\"float\"", "03", "-2.0", NULL},
    {"\"int\"", "\"double\"", "03", "-2", NULL},
    {"\"long\"", "\"float\"", "feffffffffffffffff01", "9.223372E18", NULL},
    {"\"long\"", "\"double\"", "02", "1", NULL},
    {"\"float\"", "\"double\"", "0000c03f", "1.5", NULL},
    {"\"long\"", "\"int\"", "02", NULL, "written as long, cannot be read as int"},
    {"\"double\"", "\"float\"", "", NULL, "cannot be read"},
    {"\"float\"", "\"long\"", "", NULL, "cannot be read"},
    {"\"int\"", "\"boolean\"", "", NULL, "cannot be read"},
    {"\"int\"", "\"string\"", "", NULL, "cannot be read"},
    {"\"boolean\"", "\"int\"", "", NULL, "cannot be read"},
    {"\"string\"", "\"bytes\"", "0461 62", "\"YWI=\"", NULL},
    {"\"bytes\"", "\"string\"", "0461 62", "\"ab\"", NULL},
    {"\"bytes\"", "\"string\"", "02ff", NULL, "not UTF-8"},
    {"\"null\"", "\"null\"", "", "null", NULL},
    {"\"null\"", "[\"null\",\"int\"]", "", "null", NULL},
    {"\"null\"", "\"int\"", "", NULL, "cannot be read"},
    {"\"int\"", "[\"null\",\"int\"]", "06", "3", NULL},
    {"\"int\"", "[\"null\",\"double\"]", "06", "3", NULL},
    {"\"int\"", "[\"null\",\"string\"]", "", NULL, "cannot be read"},
    {"[\"null\",\"int\"]", "\"int\"", "0206", "3", NULL},
    {"[\"null\",\"int\"]", "\"int\"", "00", NULL, "cannot be read as int"},
    {"[\"null\",\"int\"]", "\"long\"", "0206", "3", NULL},
    {"[\"int\",\"null\"]", "[\"null\",\"long\"]", "0006", "3", NULL},
    {"[\"int\",\"null\"]", "[\"null\",\"long\"]", "02", "null", NULL},
    {"[\"int\",\"null\"]", "[\"null\",\"long\"]", "04", NULL, "no branch"},
    {"[\"int\",\"null\"]", "[\"null\",\"long\"]", "01", NULL, "no branch"},
    {"[\"int\",\"null\"]", "[\"null\",\"long\"]", "8000 06", "3", NULL},
    {"[\"int\",\"string\"]", "\"int\"", "0006", "3", NULL},
    {"[\"int\",\"string\"]", "\"int\"", "020261", NULL, "written as string"},
    {"[\"int\",\"string\"]", "[\"string\",\"int\"]", "020261",
     "{\"member0\":\"a\",\"member1\":null}", NULL},
    {"[\"int\",\"string\"]", "[\"string\",\"int\"]", "0006", "{\"member0\":null,\"member1\":3}",
     NULL},
    {"\"string\"", "[\"int\",\"string\",\"null\"]", "0261", "{\"member0\":null,\"member1\":\"a\"}",
     NULL},
    {"\"int\"", "[\"double\",\"int\",\"string\"]", "06",
     "{\"member0\":null,\"member1\":3,\"member2\":null}", NULL},
    {"[\"int\",\"long\"]", "[\"int\",\"long\"]", "0006", "3", NULL},
    {"[\"null\",\"float\",\"double\"]", "[\"null\",\"float\",\"double\"]", "020000c03f", "1.5",
     NULL},
    {"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"long\"}",
     "02 04 01 02 06 00", "[2,3]", NULL},
    {"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"string\"}", "",
     NULL, "cannot be read"},
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"map\",\"values\":\"double\"}",
     "02 0261 04 00", "{\"a\":2}", NULL},
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"array\",\"items\":\"int\"}", "", NULL,
     "cannot be read"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\",\"Y\",\"Z\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"Z\",\"Y\",\"X\"]}", "04", "\"Z\"", NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\",\"Y\",\"Z\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"],\"default\":\"X\"}", "04", "\"X\"",
     NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\",\"Y\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]}", "02", NULL, "none of the reader's"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]}", "02", NULL, "no symbol"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]}",
     "{\"type\":\"enum\",\"name\":\"F\",\"symbols\":[\"X\"]}", "00", NULL, "cannot be read"},
    {"{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[\"X\"]}",
     "{\"type\":\"enum\",\"name\":\"F\",\"aliases\":[\"n.E\"],\"symbols\":[\"X\"]}", "00", "\"X\"",
     NULL},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "6162", "\"YWI=\"", NULL},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "6162", NULL, "cannot be read"},
    {"{\"type\":\"int\",\"logicalType\":\"time-millis\"}",
     "{\"type\":\"int\",\"logicalType\":\"time-millis\"}", "d00f", "\"00:00:01\"", NULL},
    {"{\"type\":\"int\",\"logicalType\":\"time-millis\"}",
     "{\"type\":\"long\",\"logicalType\":\"time-micros\"}", "d00f", "\"00:00:01\"", NULL},
    {"{\"type\":\"int\",\"logicalType\":\"time-millis\"}",
     "{\"type\":\"int\",\"logicalType\":\"time-millis\"}", "01", NULL, "out of range"},
    {"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
     "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", "d00f", "\"1970-01-01T00:00:01Z\"",
     NULL},
    {"\"long\"", "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "d00f",
     "\"1970-01-01T00:00:01Z\"", NULL},
    {"{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}",
     "{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}", "d00f",
     "\"1970-01-01T00:00:00.000001Z\"", NULL},
    {"{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}",
     "{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}", "02", NULL, "nanoseconds"},
    {"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
     "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "feffffffffffffffff01", NULL,
     "out of range"},
    {"{\"type\":\"long\",\"logicalType\":\"local-timestamp-nanos\"}",
     "{\"type\":\"long\",\"logicalType\":\"local-timestamp-nanos\"}", "d00f",
     "\"1970-01-01T00:00:00.000001\"", NULL},
    {"{\"type\":\"fixed\",\"name\":\"D\",\"size\":12,\"logicalType\":\"duration\"}",
     "{\"type\":\"fixed\",\"name\":\"D\",\"size\":12,\"logicalType\":\"duration\"}",
     "01000000 02000000 e8030000", "\"P1M2DT1S\"", NULL},
    {"{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,\"logicalType\":\"uuid\"}",
     "{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,\"logicalType\":\"uuid\"}",
     "000102030405060708090a0b0c0d0e0f", "\"00010203-0405-0607-0809-0a0b0c0d0e0f\"", NULL},
    {"{\"type\":\"string\",\"logicalType\":\"uuid\"}",
     "{\"type\":\"string\",\"logicalType\":\"uuid\"}", "0461 62", NULL, "no UUID"},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}",
     "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":6,\"scale\":3}", "02 ff",
     "-0.010", NULL},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}",
     "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}", "06 00ffff",
     NULL, "more digits"},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}",
     "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":1}", "", NULL,
     "cannot be a column"},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}", "\"bytes\"",
     "02ff", "\"/w==\"", NULL},
    {"{\"type\":\"array\",\"logicalType\":\"map\",\"items\":{\"type\":\"record\",\"name\":\"kv\","
     "\"fields\":[{\"name\":\"key\",\"type\":\"int\"},{\"name\":\"value\",\"type\":\"string\"}]}}",
     NULL, "02 06 0261 00", "{\"3\":\"a\"}", NULL},
    {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"},{\"name\":"
     "\"y\",\"type\":\"int\"}]}",
     "{\"type\":\"record\",\"name\":\"B\",\"fields\":[{\"name\":\"y\",\"type\":\"int\"},{\"name\":"
     "\"z\",\"aliases\":[\"x\"],\"type\":\"int\"},{\"name\":\"n\",\"type\":\"int\",\"default\":7}]"
     "}",
     "02 04", "{\"y\":2,\"z\":1,\"n\":7}", NULL},
    {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"y\",\"type\":\"int\"}]}", "",
     NULL, "v.y: it was not written"},
    /* damage */
    {"\"int\"", NULL, "ffffffffff01", NULL, "damaged"},
    {"\"int\"", NULL, "8080808010", NULL, "damaged"},
    {"\"long\"", NULL, "ffffffffffffffffff03", NULL, "damaged"},
    {"\"boolean\"", NULL, "02", NULL, "damaged"},
    {"\"string\"", NULL, "03", NULL, "damaged"},
    {"\"string\"", NULL, "1461", NULL, "damaged"},
    {"{\"type\":\"array\",\"items\":\"int\"}", NULL, "feffffffffffffffff01", NULL, "damaged"},
    {"{\"type\":\"array\",\"items\":\"int\"}", NULL, "ffffffffffffffffff01", NULL, "damaged"},
    {"{\"type\":\"array\",\"items\":\"null\"}", NULL, "feffffffffffffffff01", NULL, "too many"},
    {"{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Z\",\"fields\":[]}}", NULL,
     "8080808080804000", NULL, "too many"},
};

static const char *record_of(struct fixture *f, const char *type)
{
    return mr_arena_printf(&f->arena,
                           "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"v\","
                           "\"type\":%s}]}",
                           type);
}

static void test_matrix(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        struct fixture f;
        char data[256], wanted[256];
        size_t used = 0;
        start(&f);
        size_t size = unhex(matrix[i].bytes, data);
        enum mr_status status = decode(&f, record_of(&f, matrix[i].writer),
                                       matrix[i].reader ? record_of(&f, matrix[i].reader) : NULL,
                                       NULL, (struct mr_slice){data, size}, &used);
        if (matrix[i].value) {
            snprintf(wanted, sizeof wanted, "{\"v\":%s}\n", matrix[i].value);
            if (status != MR_OK)
                fail_msg("row %zu: %s", i, f.err.message);
            if (strcmp(f.text.data, wanted) != 0)
                fail_msg("row %zu: %s instead of %s", i, f.text.data, wanted);
            assert_int_equal(used, size);
        } else {
            if (status == MR_OK)
                fail_msg("row %zu was read: %s", i, f.text.data);
            if (!strstr(f.err.message, matrix[i].message))
                fail_msg("row %zu: '%s' in '%s'", i, matrix[i].message, f.err.message);
        }
        stop(&f);
    }
}

/* ---- columns asked for ---- */

static void test_columns(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
        "{\"name\":\"skip\",\"type\":{\"type\":\"map\",\"values\":[\"null\",{\"type\":\"array\","
        "\"items\":\"string\"}]}},{\"name\":\"B\",\"type\":\"float\"},{\"name\":\"d\",\"type\":{"
        "\"type\":\"int\",\"logicalType\":\"date\"}}]}";
    struct fixture f;
    char data[64];
    size_t used;
    start(&f);
    size_t size = unhex("0e 02 0261 02 02 0278 00 00 0000c03f 02", data);
    struct mr_slice row = {data, size};
    assert_int_equal(decode(&f, schema, NULL, "b double, none string, a bigint", row, &used),
                     MR_OK);
    assert_string_equal(f.text.data, "{\"b\":1.5,\"none\":null,\"a\":7}\n");
    assert_int_equal(used, size);
    assert_int_equal(decode(&f, schema, NULL, "d timestamp_ntz, a decimal(12,2)", row, &used),
                     MR_OK);
    assert_string_equal(f.text.data, "{\"d\":\"1970-01-02T00:00:00\",\"a\":7.00}\n");
    assert_int_equal(decode(&f, schema, NULL, "a smallint", row, &used), MR_CONFIG);
    assert_int_equal(decode(&f, schema, NULL, "a decimal(9,0)", row, &used), MR_CONFIG);
    assert_int_equal(decode(&f, schema, NULL, "none string not null", row, &used), MR_SOURCE);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(decode(&f, schema, NULL, NULL, (struct mr_slice){data, cut}, &used),
                         MR_SOURCE);
    stop(&f);
}

/* ---- schemas ---- */

static const struct {
    const char *text, *message;
} wrong[] = {
    {"", "Avro schema"},
    {"{", "Avro schema"},
    {"\"integer\"", "no type 'integer'"},
    {"{\"type\":\"record\",\"name\":\"R\"}", "without fields"},
    {"{\"type\":\"record\",\"fields\":[]}", "without a name"},
    {"{\"type\":\"record\",\"name\":\"1a\",\"fields\":[]}", "not a name"},
    {"{\"type\":\"record\",\"name\":\"int\",\"fields\":[]}", "primitive"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":"
     "\"a\",\"type\":\"int\"}]}",
     "defined twice"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\",\"default\":"
     "\"x\"}]}",
     "default does not fit"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}", "twice"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"B\"}", "default"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "size"},
    {"{\"type\":\"array\"}", "items"},
    {"[\"int\",\"int\"]", "same type twice"},
    {"[\"int\",[\"null\"]]", "inside of a union"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"Missing\"}]}",
     "no type 'Missing'"},
    {"5", "a type is"},
};

static void test_wrong_schemas(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fixture f;
        start(&f);
        assert_null(parse(&f, wrong[i].text));
        if (!strstr(f.err.message, wrong[i].message))
            fail_msg("%s: '%s'", wrong[i].text, f.err.message);
        stop(&f);
    }
}

static void test_canonical(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    const struct mr_avro_document *document =
        parse(&f, "{\"namespace\":\"x.y\",\"type\":\"record\",\"doc\":\"d\",\"name\":\"R\","
                  "\"fields\":[{\"name\":\"n\",\"type\":[\"null\",\"R\"],\"default\":null},"
                  "{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"date\"}}]}");
    mr_avro_canonical(document->root, &f.text);
    assert_string_equal(f.text.data,
                        "{\"name\":\"x.y.R\",\"type\":\"record\",\"fields\":[{\"name\":\"n\","
                        "\"type\":[\"null\",\"x.y.R\"]},{\"name\":\"t\",\"type\":\"long\"}]}");
    assert_true((int64_t)mr_avro_fingerprint(parse(&f, "\"int\"")->root, NULL) ==
                INT64_C(8247732601305521295));
    stop(&f);
}

static void test_printed(void **state)
{
    (void)state;
    struct fixture f;
    const struct mr_schema *schema, *again;
    start(&f);
    assert_int_equal(
        mr_schema_parse(
            &f.arena,
            "a byte, b decimal(20,3) not null, c interval, d uuid, e time, f timestamp, "
            "g timestamp_ntz, h map<int,struct<x:interval,y:array<struct<z:date>>>>, "
            "i map<string,float>, j struct<i:interval,j:struct<i:interval>>, k json",
            &schema, &f.err),
        MR_OK);
    assert_int_equal(mr_avro_print(schema, NULL, "a.b", &f.text, &f.err), MR_OK);
    const struct mr_avro_document *document = parse(&f, f.text.data);
    assert_non_null(document);
    assert_string_equal(document->root->name, "a.b.topLevelRecord");
    assert_int_equal(mr_avro_columns(&f.arena, document->root, &again, &f.err), MR_OK);
    mr_bytes_clear(&f.text);
    mr_schema_format(again, &f.text);
    assert_string_equal(
        f.text.data, "a int, b decimal(20,3) NOT NULL, c interval, d uuid, e time, f timestamp, g "
                     "timestamp_ntz, "
                     "h map<int,struct<x:interval,y:array<struct<z:date>>>>, i map<string,float>, "
                     "j struct<i:interval,j:struct<i:interval>>, k string");
    assert_int_equal(mr_schema_parse(&f.arena, "`a-b` int", &schema, &f.err), MR_OK);
    assert_int_equal(mr_avro_print(schema, NULL, NULL, &f.text, &f.err), MR_CONFIG);
    assert_non_null(strstr(f.err.message, "a-b"));
    stop(&f);
}

/* 2^63 columns by 64 records, each with two fields of the next. */
static void test_bounded(void **state)
{
    (void)state;
    struct fixture f;
    struct mr_bytes text;
    const struct mr_schema *columns;
    start(&f);
    mr_bytes_init(&text, 1 << 20);
    for (int i = 0; i < 60; i++)
        mr_bytes_printf(&text,
                        "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\","
                        "\"type\":",
                        i);
    mr_bytes_text(&text, "\"int\"");
    for (int i = 59; i >= 0; i--)
        mr_bytes_printf(&text, "},{\"name\":\"b\",\"type\":\"%s%.0d\"}]}", i == 59 ? "int" : "R",
                        i == 59 ? 0 : i + 1);
    const struct mr_avro_document *document = parse(&f, text.data);
    if (!document)
        fail_msg("%s", f.err.message);
    assert_int_equal(mr_avro_columns(&f.arena, document->root, &columns, &f.err), MR_CONFIG);
    mr_bytes_reset(&text);
    stop(&f);
}

/* ---- compatibility ---- */

static void test_check(void **state)
{
    (void)state;
    struct fixture f;
    const struct mr_avro_difference *found;
    int count;
    start(&f);
    const struct mr_avro_document *old = parse(
        &f, "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"
            "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
            "\"I\",\"fields\":[{\"name\":\"p\",\"type\":\"double\"},{\"name\":\"next\",\"type\":["
            "\"null\",\"R\"]}]}}},{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
            "\"symbols\":[\"A\",\"B\"]}}]}");
    const struct mr_avro_document *new = parse(
        &f, "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"int\"},"
            "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
            "\"I\",\"fields\":[{\"name\":\"p\",\"type\":\"float\"},{\"name\":\"next\",\"type\":["
            "\"null\",\"R\"]}]}}},{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
            "\"symbols\":[\"A\"]}},{\"name\":\"n\",\"type\":\"int\"}]}");
    assert_int_equal(mr_avro_check(&f.arena, old->root, old->root, &found, &count, &f.err), MR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(mr_avro_check(&f.arena, old->root, new->root, &found, &count, &f.err), MR_OK);
    assert_int_equal(count, 4);
    assert_string_equal(found[0].path, "id");
    assert_string_equal(found[1].path, "l[].p");
    assert_string_equal(found[2].path, "e");
    assert_string_equal(found[3].path, "n");
    assert_int_equal(mr_avro_check(&f.arena, new->root, old->root, &found, &count, &f.err), MR_OK);
    assert_int_equal(count, 0);
    stop(&f);
}

/* Messages: two writers' schemas in turn into the same rows, and faults that leave nothing behind. */
static void test_messages(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    const struct mr_avro_document *reader = parse(
        &f, "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},"
            "{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":[]}]}");
    const struct mr_avro_document *writers[2] = {
        parse(
            &f,
            "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"),
        reader};
    struct mr_avro_decoder *decoders[2];
    const struct mr_schema *columns;
    struct mr_rows rows;
    assert_int_equal(mr_avro_columns(&f.arena, reader->root, &columns, &f.err), MR_OK);
    assert_int_equal(mr_rows_init(&rows, &f.memory, columns, &f.err), MR_OK);
    for (int i = 0; i < 2; i++) {
        const struct mr_avro_plan *plan;
        struct mr_avro_resolution resolution = {writers[i], reader, columns, false, false};
        assert_int_equal(mr_avro_resolve(&f.arena, &resolution, &plan, &f.err), MR_OK);
        assert_int_equal(mr_avro_decoder_onto(plan, &rows, &decoders[i], &f.err), MR_OK);
    }
    static const struct {
        int writer;
        const char *hex;
        const char *column; /* "": a fault of the row; NULL: none */
    } messages[] = {
        {0, "02", NULL},
        {1, "04 02 02 78 00", NULL},
        {1, "06 04 02 79 02 7a 00", NULL},
        {1, "06 04 02 79", "b"},
        {0, "02 02", ""},
        {1, "04 02 02 ff 00", "b"},
        {1, "04 feffffffff", "b"},
        {0, "", "a"},
        {0, "08", NULL},
    };
    for (int round = 0; round < 2; round++) {
        struct mr_batch *batch;
        for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
            char data[64];
            struct mr_row_fault fault;
            struct mr_slice slice = {data, unhex(messages[i].hex, data)};
            int64_t before = rows.count;
            assert_int_equal(mr_avro_decode_row(decoders[messages[i].writer], slice, &fault,
                                                &f.err),
                             MR_OK);
            assert_int_equal(fault.found, messages[i].column != NULL);
            assert_int_equal(rows.count - before, !fault.found);
            if (fault.found)
                assert_string_equal(fault.column ? fault.column : "", messages[i].column);
        }
        assert_int_equal(mr_rows_finish(&rows, &batch, &f.err), MR_OK);
        struct mr_json_rows *json;
        mr_bytes_clear(&f.text);
        assert_int_equal(mr_json_rows_new(columns, &json, &f.err), MR_OK);
        mr_json_rows_encode(json, batch, 0, batch->rows, &f.text);
        mr_json_rows_free(json);
        mr_bytes_char(&f.text, '\0');
        assert_string_equal(f.text.data, "{\"a\":1,\"b\":[]}\n{\"a\":2,\"b\":[\"x\"]}\n"
                                         "{\"a\":3,\"b\":[\"y\",\"z\"]}\n{\"a\":4,\"b\":[]}\n");
        mr_batch_unref(batch);
    }
    mr_avro_decoder_free(decoders[0]);
    mr_avro_decoder_free(decoders[1]);
    mr_rows_reset(&rows);
    stop(&f);
}

#ifdef MR_ENABLE_FAILPOINTS
static enum mr_status parse_with_defaults(void)
{
    const struct mr_avro_document *document;
    struct mr_arena arena;
    const char *text =
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\","
        "\"string\"],\"default\":null},{\"name\":\"b\",\"type\":\"bytes\",\"default\":\"x\"}]}";
    mr_arena_init(&arena, NULL);
    enum mr_status status = mr_avro_parse(&arena, mr_slice_of(text), true, &document, NULL);
    mr_arena_reset(&arena);
    return status;
}

/*
 * A schema that is right is never called wrong for want of memory. First of all tests: the number is read at the first allocation
 * of a process.
 */
static void test_no_memory(void **state)
{
    (void)state;
    int code = -1;
    for (int n = 1; n < 1000 && code != MR_OK; n++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            char number[16];
            snprintf(number, sizeof number, "%d", n);
            setenv("MILLRACE_FAIL_ALLOC", number, 1);
            _exit(parse_with_defaults());
        }
        assert_int_equal(waitpid(child, &code, 0), child);
        assert_true(WIFEXITED(code));
        code = WEXITSTATUS(code);
        assert_true(code == MR_OK || code == MR_NOMEM);
    }
    assert_int_equal(code, MR_OK);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef MR_ENABLE_FAILPOINTS
        cmocka_unit_test(test_no_memory),
#endif
        cmocka_unit_test(test_matrix),        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_wrong_schemas), cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_printed),       cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_check),         cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
