/*
 * test_s3_parts.c - pieces of the S3 store that need no server: documents, dates, decoding, tickets, settings.
 */
#include "base/time.h"
#include "contract/fixture.h"
#include "dataset/store_options.h"
#include "store/s3/stage.h"
#include "store/s3/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum mr_status write_down(void *context, const char *parent, const char *name,
                                 struct mr_slice text, struct mr_error *err)
{
    mr_bytes_printf(context, "%s/%s=%.*s;", parent, name, (int)text.size, text.data);
    return mr_bytes_status(context, err);
}

static enum mr_status read_xml(const char *text, char *out, size_t capacity, struct mr_error *err)
{
    struct mr_bytes seen;
    mr_bytes_init(&seen, 1 << 20);
    const struct s3_xml reader = {write_down, &seen};
    enum mr_status status = s3_xml_read(mr_slice_of(text), &reader, err);
    snprintf(out, capacity, "%s", seen.data ? seen.data : "");
    mr_bytes_reset(&seen);
    return status;
}

static void test_xml(void **state)
{
    (void)state;
    char out[4096];
    struct mr_error err;
    assert_int_equal(read_xml("  \n<?xml version=\"1.0\"?><s:R xmlns:s=\"u\"><K>a&amp;b&#233;</K>"
                              "<K><![CDATA[<x>]]></K><C><V/></C></s:R>",
                              out, sizeof out, &err),
                     MR_OK);
    assert_string_equal(out, "R/K=a&b\xC3\xA9;R/K=<x>;C/V=;R/C=;/R=;");
    assert_int_equal(read_xml("<a><b>", out, sizeof out, &err), MR_SOURCE);
    assert_int_equal(err.cls, MR_CLASS_TRANSIENT);
    assert_int_equal(read_xml("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", out, sizeof out, &err),
                     MR_SOURCE);
    assert_non_null(strstr(err.message, "document type"));
    assert_int_equal(read_xml("<html><body>502</html>", out, sizeof out, &err), MR_SOURCE);
}

static void test_xml_limits(void **state)
{
    (void)state;
    char out[64];
    struct mr_error err;
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 22);
    for (int i = 0; i < 17; i++)
        mr_bytes_text(&text, "<a>");
    assert_int_equal(read_xml(text.data, out, sizeof out, &err), MR_SOURCE);
    assert_non_null(strstr(err.message, "deeply"));
    mr_bytes_clear(&text);
    mr_bytes_text(&text, "<a>");
    for (int i = 0; i < 70000; i++)
        mr_bytes_char(&text, 'x');
    mr_bytes_text(&text, "</a>");
    assert_int_equal(read_xml(text.data, out, sizeof out, &err), MR_SOURCE);
    assert_non_null(strstr(err.message, "too long"));
    mr_bytes_reset(&text);
}

static void test_fault(void **state)
{
    (void)state;
    struct s3_fault fault;
    s3_fault_read(mr_slice_of("<Error><Code>PermanentRedirect</Code><Message>Go</Message>"
                              "<Region>eu-west-3</Region></Error>"),
                  &fault);
    assert_string_equal(fault.code, "PermanentRedirect");
    assert_string_equal(fault.message, "Go");
    assert_string_equal(fault.region, "eu-west-3");
    s3_fault_read(mr_slice_of("<CopyObjectResult><Code>no</Code></CopyObjectResult>"), &fault);
    assert_string_equal(fault.code, "");
    s3_fault_read(mr_slice_of("not xml"), &fault);
    assert_string_equal(fault.code, "");
}

static void test_dates(void **state)
{
    (void)state;
    assert_int_equal(s3_http_date(mr_slice_of("Sun, 06 Nov 1994 08:49:37 GMT")),
                     INT64_C(784111777000000));
    assert_int_equal(s3_http_date(mr_slice_of("Sun, 06 anF 1994 08:49:37 GMT")), 0);
    assert_int_equal(s3_http_date(mr_slice_of("yesterday")), 0);
    assert_int_equal(s3_http_date(mr_slice_of("")), 0);
}

static void test_decode(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    assert_string_equal(s3_url_decode(&arena, mr_slice_of("a%2Fb%3d1+c%2B%C3%BC%zz%4")),
                        "a/b=1 c+\xC3\xBC%zz%4");
    assert_string_equal(s3_url_decode(&arena, mr_slice_of("")), "");
    mr_arena_reset(&arena);
}

static void test_ticket(void **state)
{
    (void)state;
    struct mr_bytes parts, text;
    struct mr_error err;
    struct s3_ticket read;
    mr_bytes_init(&parts, 1000);
    mr_bytes_init(&text, 1000);
    for (int i = 0; i < 2; i++) {
        mr_bytes_lenpref(&parts, "\"etag\"", 6);
        mr_bytes_lenpref(&parts, "", 0);
    }
    const struct s3_ticket ticket = {.kind = S3_TICKET_UPLOAD,
                                     .path = mr_slice_of("p=1/x-tag"),
                                     .tag = mr_slice_of("tag"),
                                     .token = mr_slice_of("0123"),
                                     .size = 12345678901,
                                     .crc = 77,
                                     .upload_id = mr_slice_of("id"),
                                     .nparts = 2,
                                     .parts = {parts.data, parts.size}};
    s3_ticket_write(&ticket, &text);
    assert_int_equal(s3_ticket_read((struct mr_slice){text.data, text.size}, &read, &err), MR_OK);
    assert_true(mr_slice_equal(read.path, ticket.path));
    assert_true(mr_slice_equal(read.parts, ticket.parts));
    assert_int_equal(read.size, ticket.size);
    for (size_t size = 0; size < text.size; size++)
        assert_int_equal(s3_ticket_read((struct mr_slice){text.data, size}, &read, &err), MR_SINK);
    for (size_t i = 0; i < text.size; i++) { /* damaged ones are read or refused, within bounds */
        text.data[i] = (char)~text.data[i];
        s3_ticket_read((struct mr_slice){text.data, text.size}, &read, &err);
        text.data[i] = (char)~text.data[i];
    }
    assert_false(s3_needs_mark(mr_slice_of("d/part-tag.x"), mr_slice_of("tag")));
    assert_true(s3_needs_mark(mr_slice_of("tag/x"), mr_slice_of("tag")));
    mr_bytes_reset(&parts);
    mr_bytes_reset(&text);
}

/* --- settings --- */

static const struct mr_option rows[] = {MR_STORE_OPTION_ROWS, MR_UPLOAD_OPTION_ROWS, MR_OPTION_END};

static struct fixture f;

static enum mr_status configure(const char *url, const char *const *texts, struct s3_config *out)
{
    const struct mr_options *options;
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, rows, texts, &options, &f.err));
    return s3_config_read(url, options, &f.runtime, &f.arena, out, &f.err);
}

static void test_settings(void **state)
{
    (void)state;
    struct s3_config config;
    fixture_init(&f, 0);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_ENDPOINT_URL_S3");
    setenv("AWS_REGION", "eu-west-1", 1);
    assert_int_equal(configure("s3a://lake/a/b/", (const char *const[]){NULL}, &config), MR_OK);
    assert_string_equal(config.bucket, "lake");
    assert_string_equal(config.prefix, "a/b/");
    assert_true(config.aws && config.https && !config.path_style && !config.given_host);
    assert_string_equal(config.region, "eu-west-1");
    assert_int_equal(configure("s3://with.dots", (const char *const[]){NULL}, &config), MR_OK);
    assert_true(config.path_style);
    assert_string_equal(config.prefix, "");
    assert_int_equal(configure("s3://lake/x",
                               (const char *const[]){"endpoint", "https://Store.example:443/",
                                                     "region", "r1", NULL},
                               &config),
                     MR_OK);
    assert_string_equal(config.host, "store.example");
    assert_string_equal(config.region, "r1");
    assert_true(config.path_style && !config.aws);
    assert_int_equal(configure("s3://lake/x",
                               (const char *const[]){"bucketMap", "lake=http://10.0.0.1:9000/real",
                                                     "pathStyle", "true", NULL},
                               &config),
                     MR_OK);
    assert_string_equal(config.host, "10.0.0.1:9000");
    assert_string_equal(config.bucket, "real");
    assert_false(config.https);
    static const char *const wrong[] = {"ftp://x", "http://", "http://u:p@x", "http://x/bucket",
                                        NULL};
    for (int i = 0; wrong[i]; i++) {
        assert_int_equal(configure("s3://lake/x", (const char *const[]){"endpoint", wrong[i], NULL},
                                   &config),
                         MR_CONFIG);
        assert_null(strstr(f.err.message, "u:p"));
    }
    assert_int_equal(configure("s3://la%ke/x", (const char *const[]){NULL}, &config), MR_CONFIG);
    assert_int_equal(configure("s3://lake/x", (const char *const[]){"multipartSize", "1M", NULL},
                               &config),
                     MR_CONFIG);
    assert_int_equal(fixture_reset(&f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml),      cmocka_unit_test(test_xml_limits),
        cmocka_unit_test(test_fault),    cmocka_unit_test(test_dates),
        cmocka_unit_test(test_decode),   cmocka_unit_test(test_ticket),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
