/*
 * Types and schemas: text both ways, comparison, lookup; single values as text.
 */
#include "col/type.h"
#include "col/value.h"

#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text, *result; /* NULL = refused */
    } cases[] = {
        {"INTEGER", "int"},
        {" Long ", "bigint"},
        {"double precision", "double"},
        {"varchar(20)", "string"},
        {"character varying(7)", "string"},
        {"numeric", "decimal(10,0)"},
        {"decimal( 38 , 10 )", "decimal(38,10)"},
        {"timestamp without time zone", "timestamp_ntz"},
        {"timestamp(6) with time zone", "timestamp"},
        {"array<map<string,struct<a:int,`b c` : array<date>>>>",
         "array<map<string,struct<a:int,`b c`:array<date>>>>"},
        {"struct<>", "struct<>"},
        {"struct<a int not null, b: string comment 'x'>", "struct<a:int,b:string>"},
        {"struct<`a``b`:int>", "struct<`a``b`:int>"},
        {"decimal(39,0)", NULL},
        {"decimal(5,6)", NULL},
        {"decimal(0,0)", NULL},
        {"array<int", NULL},
        {"array", NULL},
        {"map<int>", NULL},
        {"int int", NULL},
        {"", NULL},
        {"strin", NULL},
        {"struct<a:int,>", NULL},
        {"struct<`a:int>", NULL},
    };
    struct mr_arena arena;
    struct mr_error err;
    mr_arena_init(&arena, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mr_type *type;
        char text[256];
        enum mr_status status = mr_type_parse(&arena, cases[i].text, &type, &err);
        assert_int_equal(status, cases[i].result ? MR_OK : MR_CONFIG);
        if (status != MR_OK)
            continue;
        assert_string_equal(mr_type_text(type, text, sizeof text), cases[i].result);
        const struct mr_type *again;
        assert_int_equal(mr_type_parse(&arena, text, &again, &err), MR_OK);
        assert_true(mr_type_equal(type, again));
        assert_true(mr_type_equal(type, mr_type_copy(&arena, type)));
    }
    assert_int_equal(mr_type_parse(&arena, "array<strin>", &(const struct mr_type *){NULL}, &err),
                     MR_CONFIG);
    assert_non_null(strstr(err.message, "character 7"));
    char deep[1000] = "";
    for (int i = 0; i < 65; i++)
        strcat(deep, "array<");
    strcat(deep, "int");
    for (int i = 0; i < 65; i++)
        strcat(deep, ">");
    const struct mr_type *type;
    assert_int_equal(mr_type_parse(&arena, deep, &type, &err), MR_CONFIG);
    assert_int_equal(mr_type_parse(&arena, deep + 6, &type, &err), MR_CONFIG);
    deep[strlen(deep) - 1] = '\0';
    assert_int_equal(mr_type_parse(&arena, deep + 6, &type, &err), MR_OK);
    mr_arena_reset(&arena);
}

static void test_schema(void **state)
{
    (void)state;
    struct mr_arena arena;
    struct mr_error err;
    const struct mr_schema *schema, *same;
    mr_arena_init(&arena, NULL);
    assert_int_equal(mr_schema_parse(&arena, "id BIGINT, Name: string NOT NULL, name2 date",
                                     &schema, &err),
                     MR_OK);
    assert_int_equal(schema->nfields, 3);
    assert_true(schema->fields[0].nullable && !schema->fields[1].nullable);
    struct mr_bytes text;
    mr_bytes_init(&text, 1000);
    mr_schema_format(schema, &text);
    assert_string_equal(text.data, "id bigint, Name string NOT NULL, name2 date");
    assert_int_equal(mr_schema_parse(&arena, text.data, &same, &err), MR_OK);
    assert_true(mr_schema_equal(schema, same));
    mr_bytes_reset(&text);
    assert_int_equal(mr_schema_parse(&arena, "struct<id:bigint,Name:string,name2:date>", &same,
                                     &err),
                     MR_OK);
    assert_true(mr_schema_equal(schema, same));
    assert_int_equal(mr_schema_parse(&arena, "id bigint,", &same, &err), MR_CONFIG);
    assert_int_equal(mr_schema_find(schema, "NAME"), 1);
    assert_int_equal(mr_schema_find(schema, "nome"), -1);
    assert_int_equal(mr_schema_unknown_column(schema, "nane", &err), MR_CONFIG);
    assert_string_equal(err.message, "no column \"nane\"");
    assert_string_equal(err.hint, "did you mean \"Name\"? columns: id, Name, name2");
    assert_int_equal(mr_schema_parse(&arena, "a int, A int, b int", &schema, &err), MR_OK);
    assert_int_equal(mr_schema_find(schema, "a"), 0);
    assert_int_equal(mr_schema_find(schema, "B"), 2);
    assert_int_equal(mr_schema_parse(&arena, "ab int, AB int", &schema, &err), MR_OK);
    assert_int_equal(mr_schema_find(schema, "Ab"), -2);
    mr_arena_reset(&arena);
}

static void expect(const struct mr_value *value, const char *wanted)
{
    struct mr_bytes out;
    mr_bytes_init(&out, 1000);
    mr_value_format(value, &out);
    assert_string_equal(out.data, wanted);
    mr_bytes_reset(&out);
}

static void test_values(void **state)
{
    (void)state;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    const struct mr_type *decimal = mr_type_decimal(&arena, 12, 2);
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_INT32), .is_null = true}, "NULL");
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_BOOL), .u.i64 = 1}, "true");
    expect(&(struct mr_value){.type = decimal, .u.i128 = -5}, "-0.05");
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_FLOAT32), .u.f64 = (double)0.1f}, "0.1");
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_DATE), .u.i64 = -1}, "1969-12-31");
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_TIMESTAMP), .u.i64 = 1},
           "1970-01-01 00:00:00.000001");
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_INTERVAL),
                              .u.interval = {.months = 14, .days = 3, .micros = 3723500000}},
           "1 years 2 months 3 days 1 hours 2 minutes 3.5 seconds");
    expect(&(struct mr_value){.type = mr_type_of(MR_TYPE_INTERVAL)}, "0 seconds");
    struct mr_value text = {.type = mr_type_of(MR_TYPE_STRING), .u.bytes = mr_slice_of("ab")};
    struct mr_value copy, longer = text;
    longer.u.bytes = mr_slice_of("abc");
    assert_true(mr_value_copy(&arena, &text, &copy));
    assert_ptr_not_equal(copy.u.bytes.data, text.u.bytes.data);
    assert_int_equal(mr_value_compare(&text, &copy), 0);
    assert_true(mr_value_compare(&text, &longer) < 0);
    text.is_null = true;
    assert_true(mr_value_compare(&text, &longer) < 0);
    struct mr_value nan = {.type = mr_type_of(MR_TYPE_FLOAT64), .u.f64 = 0.0 / 0.0};
    struct mr_value inf = {.type = mr_type_of(MR_TYPE_FLOAT64), .u.f64 = 1.0 / 0.0};
    assert_true(mr_value_compare(&nan, &inf) > 0);
    assert_int_equal(mr_value_compare(&nan, &nan), 0);
    mr_arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests_name("type", tests, NULL, NULL);
}
