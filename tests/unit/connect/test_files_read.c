/*
 * test_files_read.c - the files source without files: globs, places, one schema for many, tokens.
 */
#include "connect/files/glob.h"
#include "connect/files/read.h"
#include "contract/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

/* --- globs --- */

static bool glob(const char *pattern, const char *path)
{
    const char *const *patterns;
    int count;
    FIXTURE_OK(&f, files_glob_expand(&f.arena, pattern, &patterns, &count, &f.err));
    for (int i = 0; i < count; i++)
        if (files_glob_match(patterns[i], path))
            return true;
    return false;
}

static void test_globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *path;
        bool match;
    } cases[] = {
        {"*.csv", "a.csv", true},
        {"*.csv", "b/a.csv", false},
        {"*", "a/b/c", true}, /* the directory */
        {"a*", "b/a", false},
        {"*/*.csv", "b/a.csv", true},
        {"a?c", "abc", true},
        {"a?c", "a/c", false},
        {"a?c",
         "a\xc3\xa4"
         "c",
         true},
        {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},
        {"[^a-c]x", "dx", true},
        {"[]]x", "]x", true},
        {"[a", "[a", false},
        {"{a,b}/c", "b/c", true},
        {"{a,b}/c", "c/c", false},
        {"x{,1}", "x", true},
        {"x{,1}", "x1", true},
        {"{a,{b,c}d}", "cd", true},
        {"{a", "{a", true},
        {"**", "a/b/c", true},
        {"**/c", "c", true},
        {"**/c", "a/b/c", true},
        {"**/c", "a/b/cc", false},
        {"a/**/c", "a/c", true},
        {"a/**/c", "a/x/y/c", true},
        {"a/**c", "a/x/yc", true},
        {"a**", "ab/c", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (glob(cases[i].pattern, cases[i].path) != cases[i].match)
            fail_msg("%s against %s", cases[i].pattern, cases[i].path);
    const char *const several[] = {"2024-01-*", "2024-02/a", "2024-0?"};
    assert_int_equal(files_glob_literal(several, 3), 6);
    assert_int_equal(files_glob_literal(several, 2), 6);
    assert_int_equal(files_glob_literal(several + 1, 1), 9);
    const char *const *many;
    int count;
    assert_int_equal(files_glob_expand(&f.arena,
                                       "{1,2,3,4,5,6,7,8,9,0}{1,2,3,4,5,6,7,8,9,0}{1,2,3,4,5,6,7,8,"
                                       "9,0}{1,2,3,4,5,6,7,8,9,0}{a,b}",
                                       &many, &count, &f.err),
                     MR_CONFIG);
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *text, *url; /* of the location */
        const char *root, *shown, *prefix, *pattern;
    } cases[] = {
        {"lake/", "/p/lake", "/p", "", "lake", NULL},
        {"a/lake", "/p/a/lake", "/p/a", "a", "lake", NULL},
        {"/lake", "/lake", "/", "/", "lake", NULL},
        {"/", "/", "/", "/", "", NULL},
        {"s3://b/x/y.csv", "s3://b/x/y.csv", "s3://b/x", "s3://b/x", "y.csv", NULL},
        {"s3://b/x", "s3://b/x", "s3://b", "s3://b", "x", NULL},
        {"s3://b/", "s3://b/", "s3://b/", "s3://b", "", NULL},
        {"s3://b", "s3://b", "s3://b", "s3://b", "", NULL},
        {"s3://b/x", "/mapped/x", "/mapped", "s3://b", "x", NULL},
        {"*.csv", "/p/*.csv", "/p", "", "", "*.csv"},
        {"/*.csv", "/*.csv", "/", "/", "", "*.csv"},
        {"d/a*/b.csv", "/p/d/a*/b.csv", "/p/d", "d", "", "a*/b.csv"},
        {"s3://b/*/c/", "s3://b/*/c", "s3://b", "s3://b", "", "*/c"},
        {"s3://b/d/*", "/mapped/d/*", "/mapped/d", "s3://b/d", "", "*"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_location location = {.url = cases[i].url, .text = cases[i].text};
        struct files_place place;
        FIXTURE_OK(&f, files_find_place(&location, &f.arena, &place, &f.err));
        assert_string_equal(place.url, cases[i].root);
        assert_string_equal(place.text, cases[i].shown);
        assert_string_equal(place.prefix, cases[i].prefix);
        assert_int_equal(place.npatterns, cases[i].pattern != NULL);
        if (cases[i].pattern != NULL)
            assert_string_equal(place.patterns[0], cases[i].pattern);
    }
    struct mr_location location = {.url = "s3://b*/x", .text = "s3://b*/x"};
    struct files_place place;
    assert_int_equal(files_find_place(&location, &f.arena, &place, &f.err), MR_CONFIG);
}

/* --- one schema --- */

static const char *united(const char *one, const char *other, bool inferred)
{
    struct files_union_part parts[2] = {{"one", fixture_schema(&f, one), inferred},
                                        {"other", fixture_schema(&f, other), inferred}};
    const struct mr_schema *schema;
    if (files_schema_union(&f.arena, parts, 2, &schema, NULL, NULL, &f.err) != MR_OK)
        return "error";
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    mr_schema_format(schema, &text);
    char *copy = mr_arena_strndup(&f.arena, text.data, text.size);
    mr_bytes_reset(&text);
    return copy;
}

static void test_union(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        const char *stated;   /* types that files state */
        const char *inferred; /* types that were guessed; NULL = the same */
    } cases[] = {
        {"a TINYINT", "a BIGINT", "a BIGINT", NULL},
        {"a INT NOT NULL", "a INT NOT NULL", "a INT NOT NULL", NULL},
        {"a INT NOT NULL", "b INT NOT NULL", "a INT, b INT", NULL},
        {"a INT", "A INT, b INT", "a INT, b INT", NULL},
        {"a BIGINT", "a DOUBLE", NULL, "a DOUBLE"},
        {"a INT", "a FLOAT", "a DOUBLE", NULL},
        {"a DECIMAL(38,0)", "a DECIMAL(38,1)", NULL, "a STRING"},
        {"a DECIMAL(4,2)", "a SMALLINT", "a DECIMAL(7,2)", NULL},
        {"a DATE", "a TIMESTAMP", NULL, "a TIMESTAMP"},
        {"a DATE", "a TIMESTAMP_NTZ", "a TIMESTAMP_NTZ", NULL},
        {"a BOOLEAN", "a INT", NULL, "a STRING"},
        {"a ARRAY<INT>", "a INT", NULL, "a STRING"},
        {"a MAP<STRING,INT>", "a MAP<STRING,BIGINT>", "a MAP<STRING,BIGINT>", NULL},
        {"a STRUCT<x:INT,y:DATE>", "a STRUCT<y:DATE,z:INT,x:BIGINT>",
         "a STRUCT<x:BIGINT,y:DATE,z:INT>", NULL},
        {"a ARRAY<STRUCT<x:INT>>", "a ARRAY<STRUCT<x:STRING>>", NULL, "a ARRAY<STRUCT<x:STRING>>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int inferred = 0; inferred < 2; inferred++) {
            const char *wanted =
                inferred && cases[i].inferred ? cases[i].inferred : cases[i].stated;
            const char *got = united(cases[i].one, cases[i].other, inferred);
            if (wanted == NULL) {
                assert_string_equal(got, "error");
                assert_non_null(strstr(f.err.message, "one"));
                assert_non_null(strstr(f.err.message, "other"));
                continue;
            }
            struct mr_bytes text;
            mr_bytes_init(&text, 1 << 16);
            mr_schema_format(fixture_schema(&f, wanted), &text);
            assert_string_equal(got, text.data);
            mr_bytes_reset(&text);
        }
}

/* --- tokens --- */

static void test_tokens(void **state)
{
    (void)state;
    struct mr_bytes token;
    struct files_piece *pieces;
    int count;
    mr_bytes_init(&token, 1 << 16);
    files_split_begin(&token, 2);
    struct files_piece written[2] = {{{"a/b", 3}, 100, 1234567, 10, 20},
                                     {{"c", 1}, INT64_MAX, -1, 0, INT64_MAX}};
    files_piece_write(&written[0], &token);
    files_piece_write(&written[1], &token);
    struct mr_slice whole = {token.data, token.size};
    FIXTURE_OK(&f, files_split_read(whole, &f.arena, &pieces, &count, &f.err));
    assert_int_equal(count, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(mr_slice_equal(pieces[i].path, written[i].path));
        assert_true(pieces[i].size == written[i].size && pieces[i].offset == written[i].offset &&
                    pieces[i].length == written[i].length &&
                    pieces[i].modified_micros == written[i].modified_micros);
    }
    for (size_t size = 0; size < token.size; size++)
        assert_int_equal(files_split_read((struct mr_slice){token.data, size}, &f.arena, &pieces,
                                          &count, &f.err),
                         MR_INTERNAL);
    mr_bytes_char(&token, 0);
    assert_int_equal(files_split_read((struct mr_slice){token.data, token.size}, &f.arena, &pieces,
                                      &count, &f.err),
                     MR_INTERNAL);
    mr_bytes_reset(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_globs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_union, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
