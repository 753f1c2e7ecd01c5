/*
 * Generated documents over the fake registry: the schema is JSON and says what it should, pages hold every key.
 */
#include "config/describe.h"
#include "config/reference.h"
#include "fake_registry.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *text_at(json_t *root, const char *path)
{
    char copy[256];
    strcpy(copy, path);
    char *rest = NULL;
    for (char *part = strtok_r(copy, "/", &rest); part; part = strtok_r(NULL, "/", &rest))
        root = json_is_array(root) ? json_array_get(root, (size_t)(part[0] - '0'))
                                   : json_object_get(root, part);
    return json_is_string(root) ? json_string_value(root) : root != NULL ? "present" : NULL;
}

static void test_schema(void **state)
{
    (void)state;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_config_write_schema(&fake_registry, &text);
    assert_int_equal(text.status, MR_OK);
    json_error_t error;
    json_t *root = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%d:%d: %s", error.line, error.column, error.text);
    assert_string_equal(text_at(root, "$schema"), "https://json-schema.org/draft/2020-12/schema");
    assert_string_equal(text_at(root, "properties/steps/items/$ref"), "#/$defs/step");
    assert_string_equal(text_at(root, "properties/sql/anyOf/0/properties/timeZone/default"), "UTC");
    assert_string_equal(text_at(root, "required/0"), "name");
    assert_string_equal(text_at(root, "$defs/step/allOf/0/then/properties/type/const"), "extract");
    assert_string_equal(text_at(root, "$defs/step/allOf/0/then/properties/config/$ref"),
                        "#/$defs/fromPostgres");
    assert_non_null(text_at(root, "$defs/fromPostgres/properties/dbtable"));
    assert_non_null(text_at(root, "$defs/fromPostgres/properties/registerAs"));
    assert_null(text_at(root, "$defs/fromPostgres/properties/incremental"));
    assert_null(text_at(root, "$defs/fromMySQL"));
    assert_non_null(text_at(root, "$defs/toKafka/patternProperties/^kafka[.]"));
    json_decref(root);
    mr_bytes_reset(&text);
}

static void expect_page(void (*write)(const struct mr_method *, struct mr_bytes *),
                        const char *name, const char *expected)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    write(mr_registry_method(&fake_registry, name), &text);
    assert_int_equal(text.status, MR_OK);
    assert_string_equal(text.data, expected);
    mr_bytes_reset(&text);
}

static void test_pages(void **state)
{
    (void)state;
    expect_page(
        mr_config_write_method_page, "toKafka",
        "<!-- Generated from the option tables by `make reference`; do not edit. -->\n"
        "# toKafka\n\nType: `load`.\n\n| key | value | meaning |\n|---|---|---|\n"
        "| `topic` | text; required |  |\n"
        "| `bootstrap.servers` (also `kafka.bootstrap.servers`, `bootstrapServers`) | list of "
        "texts; also from credentials |  |\n| `kafka.*` | {name: text} |  |\n\n"
        "As every load method:\n\n| key | value | meaning |\n|---|---|---|\n"
        "| `credentialPath` | text | Entry of the credentials file, or secret of Vault, whose keys "
        "complete the "
        "connection. |\n"
        "| `trigger` | text | Mode streaming: when an epoch begins. \"5 seconds\" (also "
        "processingTime=5 seconds): so long after the last one began; once: one epoch, and the "
        "process ends; availableNow: epochs until all is read that was there at the start. "
        "Default: as soon as there are rows. |\n"
        "| `checkpointLocation` | text | Mode streaming: a local directory for the state, like "
        "state of the pipeline. |\n"
        "| `outputMode` | append \\| update \\| complete | Mode streaming: what of stateful steps "
        "comes out: append (default) what is final, update what has changed, complete everything "
        "in each epoch. |\n"
        "| `queryName` | text | Mode streaming: a name for people, in the report, the log and "
        "/metrics. |\n");
    expect_page(
        mr_config_describe_method, "validateRanges",
        "validateRanges (validate)\n\n"
        "  ranges: {name: object or list}; required\n\n      min: text\n\n      max: text\n\n"
        "  onFailure: fail | drop | quarantine; default fail\n\n"
        "  quarantine: object\n\n      path: text; required\n\n"
        "      format: text; default parquet\n");
}

static void test_lists(void **state)
{
    (void)state;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_config_describe_methods(&fake_registry, &text);
    assert_non_null(
        strstr(text.data, "extract\n  fromPostgres                   Rows of a table.\n"));
    assert_non_null(strstr(text.data, "not built in this version\n  fromMySQL\n"));
    mr_bytes_clear(&text);
    mr_config_write_index_page(&fake_registry, &text);
    assert_non_null(strstr(text.data, "* [toS3](toS3.md): Writes files.\n"));
    mr_bytes_clear(&text);
    mr_config_write_pipeline_page(&text);
    assert_non_null(strstr(text.data, "| `retry.maxDelay` | duration, a bare number is seconds; "
                                      "default 60s | No pause is longer. |\n"));
    mr_bytes_clear(&text);
    mr_config_write_exit_codes_page(&text);
    assert_non_null(strstr(text.data, "| 8 | "));
    mr_bytes_reset(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests_name("config/reference", tests, NULL, NULL);
}
