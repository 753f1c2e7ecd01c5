/*
 * Options by table: texts to values, defaults, bounds, errors; and finding methods in a registry.
 */
#include "ext/codec.h"
#include "ext/format.h"
#include "ext/op.h"
#include "ext/option.h"
#include "ext/registry.h"
#include "ext/store.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const compressions[] = {"snappy", "gzip", "zstd", NULL};

static const struct mr_option nested[] = {
    {.name = "depth", .type = MR_OPTION_INT, .fallback = "3"},
    MR_OPTION_END,
};

static const struct mr_option table[] = {
    {.name = "flag", .aliases = "isFlag,flagged", .type = MR_OPTION_BOOL, .fallback = "true"},
    {.name = "count", .type = MR_OPTION_INT, .minimum = 1, .maximum = 100},
    {.name = "ratio", .type = MR_OPTION_DOUBLE},
    {.name = "size", .type = MR_OPTION_SIZE, .fallback = "128M", .minimum = 1024, .maximum = 0},
    {.name = "delay", .type = MR_OPTION_DURATION, .unit_micros = 1000},
    {.name = "path", .type = MR_OPTION_STRING},
    {.name = "compression", .type = MR_OPTION_ENUM, .choices = compressions},
    {.name = "columns", .type = MR_OPTION_STRINGS},
    {.name = "pairs", .type = MR_OPTION_PAIRS},
    {.name = "password", .type = MR_OPTION_INT, .flags = MR_OPTION_SECRET},
    {.name = "nested", .type = MR_OPTION_OBJECT, .fields = nested, .fallback = "{}"},
    {.name = "kafka.", .type = MR_OPTION_PAIRS, .flags = MR_OPTION_PREFIX},
    MR_OPTION_END,
};

static const struct mr_options *build(struct mr_arena *arena, const char *const *pairs)
{
    struct mr_error err;
    const struct mr_options *options = NULL;
    enum mr_status status = mr_options_from_texts(arena, table, pairs, &options, &err);
    if (status != MR_OK)
        fail_msg("%s", err.message);
    return options;
}

static void test_values(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    const char *pairs[] = {"flagged", "FALSE", "count",       "1e2",  "ratio",      "0.5",
                           "delay",   "500",   "path",        "/x",   "columns",    "a, b ,c",
                           "pairs",   "n=a=b", "pairs",       "m",    "kafka.acks", "1",
                           "kafka.x", "y",     "compression", "ZSTD", NULL};
    const struct mr_options *o = build(&arena, pairs);
    assert_false(mr_options_boolean(o, "flag", true));
    assert_int_equal(mr_options_integer(o, "count", 7), 100);
    assert_true(mr_options_get(o, "ratio")->u.number == 0.5);
    assert_int_equal(mr_options_integer(o, "delay", 0), 500000);
    assert_int_equal(mr_options_integer(o, "size", 0), 128 << 20);
    assert_false(mr_options_get(o, "size")->by_user);
    assert_true(mr_options_get(o, "count")->by_user);
    assert_string_equal(mr_options_text(o, "path"), "/x");
    assert_string_equal(mr_options_text(o, "compression"), "zstd");
    assert_int_equal(mr_options_integer(o, "compression", 0), 2);
    const struct mr_option_value *columns = mr_options_get(o, "columns");
    assert_int_equal(columns->u.strings.count, 3);
    assert_string_equal(columns->u.strings.items[1], "b");
    const struct mr_option_value *named = mr_options_get(o, "pairs");
    assert_int_equal(named->u.pairs.count, 2);
    assert_string_equal(named->u.pairs.items[0].text, "a=b");
    assert_null(named->u.pairs.items[1].text);
    const struct mr_option_value *kafka = mr_options_get(o, "kafka.");
    assert_int_equal(kafka->u.pairs.count, 2);
    assert_string_equal(kafka->u.pairs.items[0].name, "kafka.acks");
    const struct mr_options *inner = mr_options_get(o, "nested")->u.object;
    assert_int_equal(mr_options_integer(inner, "depth", 0), 3);
    assert_false(mr_options_has(o, "password"));
    assert_int_equal(mr_options_integer(o, "password", -5), -5);
    mr_arena_reset(&arena);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *message, *hint;
    } cases[] = {
        {"flag", "yes", "\"flag\" must be true or false, not \"yes\"", ""},
        {"count", "0", "\"count\" must be between 1 and 100", ""},
        {"count", "ten", "\"count\" must be a whole number, not \"ten\"", ""},
        {"count", "1.5", "\"count\" must be a whole number, not \"1.5\"", ""},
        {"ratio", "nan", "\"ratio\" must be a number, not \"nan\"", ""},
        {"delay", "soon", "\"delay\" must be a duration such as \"5 seconds\", not \"soon\"",
         "a number and microseconds, milliseconds, seconds, minutes, hours, days or weeks; months "
         "and years have no fixed length"},
        {"compression", "zst", "\"compression\" must be one of snappy, gzip, zstd, not \"zst\"",
         "did you mean \"zstd\"?"},
        {"password", "hunter2", "\"password\" must be a whole number, not a secret value", ""},
        {"colums", "a", "unknown option \"colums\"", ""},
    };
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_error err = {0};
        const struct mr_options *options;
        const char *pairs[] = {cases[i].name, cases[i].text, NULL};
        assert_int_equal(mr_options_from_texts(&arena, table, pairs, &options, &err), MR_CONFIG);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.hint, cases[i].hint);
    }
    struct mr_error err;
    const char *pairs[] = {NULL};
    const struct mr_options *options = build(&arena, pairs);
    assert_int_equal(mr_options_error(options, "count", &err, "too %s", "many"), MR_CONFIG);
    assert_string_equal(err.message, "\"count\": too many");
    static const struct mr_option needs[] = {
        {.name = "table", .type = MR_OPTION_STRING, .flags = MR_OPTION_REQUIRED}, MR_OPTION_END};
    assert_int_equal(mr_options_from_texts(&arena, needs, pairs, &options, &err), MR_CONFIG);
    assert_string_equal(err.message, "\"table\" is required");
    mr_arena_reset(&arena);
}

static void test_registry(void **state)
{
    (void)state;
    static const struct mr_op filter = {.name = "filter",
                                        .doc = "Keeps rows.",
                                        .options = table,
                                        .min_inputs = 1,
                                        .max_inputs = INT_MAX};
    static const struct mr_method methods[] = {
        {.name = "filterRows", .aliases = "filter,where", .type = MR_STEP_TRANSFORM, .op = &filter},
        {.name = "toMySQL", .type = MR_STEP_LOAD, .unbuilt = "no MySQL client"},
        {.name = NULL},
    };
    static const struct mr_format parquet = {.name = "parquet"};
    static const struct mr_format *const formats[] = {&parquet, NULL};
    static const struct mr_store local = {.name = "local", .scheme = "file"};
    static const struct mr_store *const stores[] = {&local, NULL};
    static const struct mr_codec *const codecs[] = {NULL};
    static const struct mr_registry registry = {methods, stores, formats, codecs};
    const struct mr_method *method = mr_registry_method(&registry, "where");
    assert_ptr_equal(method, &methods[0]);
    assert_ptr_equal(mr_method_options(method), table);
    assert_string_equal(mr_method_doc(method), "Keeps rows.");
    assert_null(mr_method_system(method));
    assert_int_equal(mr_method_max_inputs(method), INT_MAX);
    assert_null(mr_registry_method(&registry, "filterrows"));
    assert_string_equal(mr_registry_nearest_method(&registry, "filterRow"), "filterRows");
    assert_ptr_equal(mr_registry_format(&registry, "Parquet"), &parquet);
    assert_ptr_equal(mr_registry_store(&registry, "file"), &local);
    assert_null(mr_registry_codec(&registry, "snappy"));
    assert_string_equal(mr_step_type_name(MR_STEP_VALIDATE), "validate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_registry),
    };
    return cmocka_run_group_tests_name("ext/option", tests, NULL, NULL);
}
