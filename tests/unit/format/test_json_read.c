/*
 * The JSON reader: types, bad records, documents, inference, splits at every byte, damaged files.
 */
#include "codec/codecs.h"
#include "format/text.h"
#include "unit/format/text_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define JSON &mr_format_json

static const char *const document[] = {"multiLine", "true", NULL};

static void expect(struct text_fixture *f, const char *data, const char *schema, const char *rows)
{
    text_file(f, data, strlen(data), schema);
    if (text_read(f, JSON, 0, INT64_MAX) != MR_OK)
        fail_msg("%s: %s", f->err.where, f->err.message);
    assert_string_equal(f->out.data ? f->out.data : "", rows);
}

static void test_lines(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, JSON, NULL, 0);
    expect(&f,
           "\xef\xbb\xbf{\"a\":1,\"b\":\"x\"}\r\n\n  \n { \"b\" : \"y\" , \"c\" : [1,{}] } \n{}",
           "a int, b string",
           "{\"a\":1,\"b\":\"x\"}\n{\"a\":null,\"b\":\"y\"}\n{\"a\":null,\"b\":null}\n");
    expect(&f, "{\"a\":1,\"a\":2}\n{\"a\":\"x\",\"a\":null}\n", "a string",
           "{\"a\":\"2\"}\n{\"a\":null}\n");
    expect(&f, "{\"s\":{\"x\":[1],\"x\":[2]},\"s\":{\"y\":3}}\n", "s struct<x:array<int>,y:int>",
           "{\"s\":{\"x\":null,\"y\":3}}\n");
    expect(&f, "", "a int", "");
    expect(&f, "\n\n", "a int", "");
    text_reset(&f);
}

static void test_types(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, JSON, NULL, 0);
    expect(&f, "{\"a\":9223372036854775807}\n{\"a\":-9223372036854775808}\n{\"a\":-0}\n",
           "a bigint", "{\"a\":9223372036854775807}\n{\"a\":-9223372036854775808}\n{\"a\":0}\n");
    expect(
        &f, "{\"a\":12345678901234567890.123456789}\n{\"a\":\"1.5\"}\n{\"a\":1e3}\n",
        "a decimal(38,10)",
        "{\"a\":12345678901234567890.1234567890}\n{\"a\":1.5000000000}\n{\"a\":1000.0000000000}\n");
    expect(&f, "{\"a\":0.1}\n{\"a\":\"NaN\"}\n{\"a\":1}\n{\"a\":\"-Infinity\"}\n", "a double",
           "{\"a\":0.1}\n{\"a\":\"NaN\"}\n{\"a\":1}\n{\"a\":\"-Infinity\"}\n");
    expect(&f,
           "{\"a\":\"2024-02-29\",\"b\":\"2024-02-29T12:30:00+01:00\",\"c\":\"aGk=\",\"d\":true}\n"
           "{\"b\":1709209800}\n",
           "a date, b timestamp, c binary, d boolean",
           "{\"a\":\"2024-02-29\",\"b\":\"2024-02-29T11:30:00Z\",\"c\":\"aGk=\",\"d\":true}\n"
           "{\"a\":null,\"b\":\"2024-02-29T12:30:00Z\",\"c\":null,\"d\":null}\n");
    expect(&f, "{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\\"\\/\\\\\\u0000x\"}\n", "a string",
           "{\"a\":\"\u00e9\U0001F600\\n\\\"/\\\\\\u0000x\"}\n");
    expect(&f, "{\"a\":{ \"x\" : [ 1.50 , null ] }}\n{\"a\":1.50}\n{\"a\":true}\n{\"a\":[]}\n",
           "a string",
           "{\"a\":\"{\\\"x\\\":[1.50,null]}\"}\n{\"a\":\"1.50\"}\n{\"a\":\"true\"}\n{\"a\":\"[]\"}"
           "\n");
    expect(&f, "{\"a\":{ \"x\" : [ 1.50 , null ] }}\n{\"a\":\"s\"}\n{\"a\":null}\n", "a json",
           "{\"a\":{\"x\":[1.50,null]}}\n{\"a\":\"s\"}\n{\"a\":null}\n");
    expect(&f,
           "{\"a\":[1,null,3],\"m\":{\"x\":1,\"y\":null},\"s\":{\"q\":[{\"z\":1},null]}}\n{\"a\":[]"
           ",\"m\":{},\"s\":{}}\n",
           "a array<int>, m map<string,int>, s struct<q:array<struct<z:int>>>",
           "{\"a\":[1,null,3],\"m\":{\"x\":1,\"y\":null},\"s\":{\"q\":[{\"z\":1},null]}}\n"
           "{\"a\":[],\"m\":{},\"s\":{\"q\":null}}\n");
    expect(&f, "{\"m\":{\"1\":\"x\",\"-2\":\"y\"}}\n", "m map<int,string>",
           "{\"m\":{\"1\":\"x\",\"-2\":\"y\"}}\n");
    text_reset(&f);
}

static void expect_fault(const char *record, const char *schema, const char *reason)
{
    struct text_fixture f;
    char data[2000];
    snprintf(data, sizeof data, "{\"a\":1}\n%s\n{}\n", record);
    text_init(&f, JSON, NULL, 0);
    text_file(&f, data, strlen(data), schema);
    f.read.on_error = MR_ON_ERROR_DROP;
    assert_int_equal(text_read(&f, JSON, 0, INT64_MAX), MR_OK);
    assert_int_equal(f.rows, 2);
    if (!f.bad.data || strstr(f.bad.data, reason) == NULL)
        fail_msg("'%s' is not in '%s'", reason, f.bad.data);
    assert_int_equal(strncmp(f.bad.data, "2:8:", 4), 0);
    f.read.on_error = MR_ON_ERROR_FAIL;
    assert_int_equal(text_read(&f, JSON, 0, INT64_MAX), MR_SOURCE);
    assert_string_equal(f.err.where, "file: line 2");
    text_reset(&f);
}

static void test_faults(void **state)
{
    (void)state;
    expect_fault("{\"a\":1.0}", "a int", "a:'1.0' is no int");
    expect_fault("{\"a\":3000000000}", "a int", "out of the range of int");
    expect_fault("{\"a\":\"1\"}", "a int", "is no int");
    expect_fault("{\"a\":{\"b\":1}}", "a int", "a:'{\"b\":1}' is no int");
    expect_fault("{\"a\":01}", "a int", "no number");
    expect_fault("{\"a\":1", "a int", "no , or }");
    expect_fault("{\"a\":1}}", "a int", "text behind the object");
    expect_fault("{\"a\":1} {}", "a int", "text behind the object");
    expect_fault("{\"a\":1,}", "a int", "no key");
    expect_fault("{\"x\":tru}", "a int", "no JSON value");
    expect_fault("{\"x\":\"a\"b}", "a int", "-:");
    expect_fault("{\"x\":[1 2]}", "a int", "-:");
    expect_fault("{\"x\":\"abc}", "a int", "a string that does not end");
    expect_fault("{\"x\":\"\tq\"}", "a int", "control character");
    expect_fault("{\"x\":\"\xff\"}", "a int", "not valid UTF-8");
    expect_fault("{\"x\":\"\\ud800\"}", "a int", "an escape that is none");
    expect_fault("{\"x\":\"\\q\"}", "a int", "an escape that is none");
    expect_fault("[1]", "a int", "an object is expected");
    expect_fault("{\"m\":{\"k\":1,\"k\":2}}", "a int, m map<string,int>",
                 "m:a map has a key twice");
    char deep[1500] = "{\"x\":";
    memset(deep + 5, '[', 600);
    memset(deep + 605, ']', 600);
    strcpy(deep + 1205, "}");
    expect_fault(deep, "a int", "nesting that is too deep");
}

static void test_null_mode(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, JSON, NULL, 0);
    f.read.on_error = MR_ON_ERROR_NULL;
    expect(&f, "{\"a\":\"x\",\"b\":[1,\"y\",3]}\n{\"a\":\n{\"b\":{},\"a\":4}\n",
           "a int, b array<int>",
           "{\"a\":null,\"b\":[1,null,3]}\n{\"a\":null,\"b\":null}\n{\"a\":4,\"b\":null}\n");
    assert_string_equal(f.bad.data, "1:0:a:'\"x\"' is no int|{\"a\":\"x\",\"b\":[1,\"y\",3]}\n"
                                    "2:24:-:a value is missing at the end of the text|{\"a\":\n"
                                    "3:30:b:'{}' is no array<int>|{\"b\":{},\"a\":4}\n");
    text_reset(&f);
}

static void test_documents(void **state)
{
    (void)state;
    struct text_fixture f;
    text_init(&f, JSON, document, 0);
    const char *rows = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n";
    expect(&f, "[\n {\"a\":1},\n {\"x\":\"]}\\\"[\",\n  \"a\":2}\n , {\"a\":3}]\n", "a int", rows);
    expect(&f, "{\"a\":1}{\n\"a\":2\n}\n\n{\"a\":3}", "a int", rows);
    expect(&f, "[{\"a\":1}] [] [{\"a\":2},{\"a\":3}]", "a int", rows);
    expect(&f, "  []  ", "a int", "");
    expect(&f, "", "a int", "");
    f.read.on_error = MR_ON_ERROR_DROP;
    expect(&f, "[{\"a\":1},\n5,\"x,]\",{\"a\":\"q\"},\n[{\"a\":7}],{\"a\":2},null,{\"a\":3}]",
           "a int", rows);
    assert_string_equal(f.bad.data,
                        "2:10:-:an object is expected|5\n2:12:-:an object is expected|\"x,]\"\n"
                        "2:18:a:'\"q\"' is no int|{\"a\":\"q\"}\n"
                        "3:29:-:an object is expected|[{\"a\":7}]\n"
                        "3:47:-:an object is expected|null\n");
    static const char *const malformed[] = {"[{\"a\":1}",
                                            "[{\"a\":1} {\"a\":2}]",
                                            "[{\"a\":1},]",
                                            "[,{}]",
                                            "{\"a\":1},{\"a\":2}",
                                            "{\"a\":\"x",
                                            "[",
                                            "x",
                                            "]",
                                            "[1",
                                            "[\"",
                                            NULL};
    for (int i = 0; malformed[i]; i++) {
        text_file(&f, malformed[i], strlen(malformed[i]), "a int");
        if (text_read(&f, JSON, 0, INT64_MAX) != MR_SOURCE)
            fail_msg("%s is read", malformed[i]);
    }
    text_reset(&f);
}

static void infers(const char *data, const char *schema)
{
    struct text_fixture f;
    struct mr_file_info info;
    text_init(&f, JSON, NULL, 0);
    text_file(&f, data, strlen(data), NULL);
    const char *found = text_probe(&f, JSON, &info);
    if (!found)
        fail_msg("%s", f.err.message);
    assert_string_equal(found, schema);
    text_reset(&f);
}

static void test_inference(void **state)
{
    (void)state;
    infers("{\"b\":1,\"a\":true,\"c\":\"2024-01-01\"}\n{\"b\":2.5,\"d\":null}\nx\n",
           "b double, a boolean, c string, d string");
    infers("{\"a\":12345678901234567890}\n{\"a\":1}\n", "a decimal(38,0)");
    infers("{\"s\":{\"x\":1,\"y\":[]},\"l\":[{\"p\":1},{\"q\":\"t\"}]}\n{\"s\":{\"z\":null,\"y\":["
           "1]}}\n",
           "s struct<x:bigint,y:array<bigint>,z:string>, l array<struct<p:bigint,q:string>>");
    infers("{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":[1]}\n{\"e\":{}}\n", "a string, e string");
    infers("", "");
}

static void test_splits(void **state)
{
    (void)state;
    struct text_fixture f;
    const char *data = "{\"a\":1}\n{\"a\":22}\r\n\n{\"a\":3}\n  \n{\"a\":4}";
    const char *rows = "{\"a\":1}\n{\"a\":22}\n{\"a\":3}\n{\"a\":4}\n";
    size_t size = strlen(data);
    text_init(&f, JSON, NULL, 0);
    text_file(&f, data, size, "a int");
    for (size_t a = 0; a <= size; a++) {
        for (size_t b = a; b <= size; b++) {
            text_clear(&f);
            assert_int_equal(text_read(&f, JSON, 0, (int64_t)a), MR_OK);
            assert_int_equal(text_read(&f, JSON, (int64_t)a, (int64_t)(b - a)), MR_OK);
            assert_int_equal(text_read(&f, JSON, (int64_t)b, INT64_MAX), MR_OK);
            if (strcmp(f.out.data, rows) != 0)
                fail_msg("cut at %zu and %zu:\n%s", a, b, f.out.data);
        }
    }
    text_clear(&f);
    f.read.row_positions = true;
    assert_int_equal(text_read(&f, JSON, 9, INT64_MAX), MR_OK);
    assert_string_equal(f.out.data, "{\"a\":3,\"row position\":2}\n{\"a\":4,\"row position\":3}\n");
    text_reset(&f);
}

/* Lines much longer than a piece, many batches, in bounded memory; and the same as a document, compressed. */
static void test_large(void **state)
{
    (void)state;
    struct mr_bytes text;
    struct mr_error err;
    mr_bytes_init(&text, (size_t)1 << 30);
    mr_bytes_text(&text, "[");
    for (int i = 0; i < 100000; i++) {
        mr_bytes_printf(&text, "%s{\"id\":%d,\"t\":\"%0*d\"}\n", i ? "," : "", i,
                        i % 10000 == 5 ? 300000 : 20, i);
    }
    mr_bytes_text(&text, "]");
    size_t bound = mr_codec_gzip.bound(text.size), made = 0;
    char *packed = mr_alloc(bound);
    assert_int_equal(mr_codec_gzip.compress(text.data, text.size, 1, packed, bound, &made, NULL,
                                            &err),
                     MR_OK);
    struct text_fixture f;
    text_init(&f, JSON, document, (int64_t)48 << 20);
    text_file(&f, packed, made, "id bigint, t string");
    assert_int_equal(text_read(&f, JSON, 0, INT64_MAX), MR_OK);
    assert_int_equal(f.rows, 100000);
    text_file(&f, packed, made - 1, "id bigint, t string");
    assert_int_equal(text_read(&f, JSON, 0, INT64_MAX), MR_SOURCE);
    text_reset(&f);
    for (size_t i = 0; i < text.size; i++) /* the same as lines */
        if (i == 0 || i == text.size - 1 || (text.data[i] == ',' && text.data[i - 1] == '\n'))
            text.data[i] = ' ';
    text_init(&f, JSON, NULL, (int64_t)48 << 20);
    text_file(&f, text.data, text.size, "id bigint, t string");
    assert_int_equal(text_read(&f, JSON, 0, INT64_MAX), MR_OK);
    assert_int_equal(f.rows, 100000);
    text_reset(&f);
    mr_free(packed);
    mr_bytes_reset(&text);
}

/* Every prefix and many changed bytes: rows or faults, no crash. */
static void test_damage(void **state)
{
    (void)state;
    static const char sample[] =
        "{\"a\":-12.5e1,\"b\":\"x\\u00e9\\n\",\"c\":[true,null,{\"d\":\"\xc3\xa9\"}]}\n[{}]\n"
        "{\"b\":{\"c\":\"\\\\\"},\"a\":1}\n";
    static const char odd[] = "\"\\{}[],:\n\0\xff 0-.e\x01tn";
    for (int mode = 0; mode < 2; mode++) {
        struct text_fixture f;
        text_init(&f, JSON, mode ? document : NULL, 0);
        f.read.on_error = MR_ON_ERROR_NULL;
        for (size_t at = 0; at < sizeof sample; at++) {
            char *copy = mr_alloc(at);
            memcpy(copy, sample, at);
            text_file(&f, copy, at, "a double, b string, c array<json>");
            text_read(&f, JSON, 0, INT64_MAX);
            mr_free(copy);
            for (size_t i = 0; i < sizeof odd - 1; i++) {
                copy = mr_alloc(sizeof sample);
                memcpy(copy, sample, sizeof sample);
                copy[at] = odd[i];
                text_file(&f, copy, sizeof sample - 1, "a double, b string, c array<json>");
                text_read(&f, JSON, 0, INT64_MAX);
                mr_free(copy);
            }
        }
        text_reset(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),     cmocka_unit_test(test_types),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_null_mode),
        cmocka_unit_test(test_documents), cmocka_unit_test(test_inference),
        cmocka_unit_test(test_splits),    cmocka_unit_test(test_large),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
