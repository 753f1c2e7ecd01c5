/*
 * test_limits.c - nesting, length and sharing: what hostile or generated texts do, on a thread with a stack of 512 KiB.
 */
#include "base/arena.h"
#include "base/bytes.h"
#include "sql/expr.h"
#include "sql/node.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct mr_sql_session session = {.ansi = true};
static const struct mr_field fields[] = {{"i", NULL, true, NULL}};

/* A sanitizer's frames are several times larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE ((size_t)8 << 20)
#else
#define STACK_SIZE ((size_t)512 << 10)
#endif

struct job {
    const char *text;
    enum mr_status status;
    struct mr_error err;
    int64_t first; /* of an integer result */
};

/* Compiles and, if that works, evaluates over one row with i = 1. */
static void *run_job(void *arg)
{
    struct job *job = arg;
    struct mr_arena arena;
    struct mr_field own = fields[0];
    own.type = mr_type_of(MR_TYPE_INT32);
    struct mr_schema schema = {1, &own};
    struct mr_sql_scope scope = {.schema = &schema};
    struct mr_value one = {.type = own.type, .u.i64 = 1};
    struct mr_expr *expr;
    struct mr_batch *batch;
    struct mr_eval *eval;
    struct mr_column *column, *out = NULL;
    mr_arena_init(&arena, NULL);
    job->status = mr_expr_compile(&arena, job->text, &scope, &session, &expr, &job->err);
    if (job->status == MR_OK) {
        struct mr_value value;
        mr_column_new_constant(NULL, own.type, &one, 1, &column, NULL);
        struct mr_column *flat;
        mr_column_flatten(NULL, column, &flat, NULL);
        mr_column_unref(column);
        mr_batch_new(&schema, 1, &flat, &batch, NULL);
        mr_eval_new(NULL, &session, &eval, NULL);
        job->status = mr_expr_eval(eval, expr, batch, &out, &job->err);
        if (job->status == MR_OK) {
            mr_column_get(out, 0, &value);
            job->first = value.is_null ? -1 : value.u.i64;
        }
        mr_column_unref(out);
        mr_eval_free(eval);
        mr_batch_unref(batch);
    }
    mr_arena_reset(&arena);
    return NULL;
}

static struct job run_small(const char *text)
{
    struct job *job = calloc(1, sizeof(*job));
    pthread_attr_t attr;
    pthread_t thread;
    job->text = text;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    assert_int_equal(pthread_create(&thread, &attr, run_job, job), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    struct job copy = *job;
    free(job);
    return copy;
}

/* before * n + middle + after * n */
static char *nest(const char *before, const char *middle, const char *after, int n)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 16 << 20);
    for (int i = 0; i < n; i++)
        mr_bytes_text(&text, before);
    mr_bytes_text(&text, middle);
    for (int i = 0; i < n; i++)
        mr_bytes_text(&text, after);
    return mr_bytes_move(&text, NULL);
}

static const struct {
    const char *before, *middle, *after;
    int64_t value;
} shapes[] = {
    {"(", "i", ")", 1},
    {"coalesce(", "i", ", 2)", 1},
    {"coalesce(", "NULL, i", ")", 1},
    {"if(i = 1, ", "i", ", 0)", 1},
    {"CASE WHEN i = 1 THEN ", "i", " ELSE 0 END", 1},
    {"CASE ", "i", " WHEN 5 THEN 0 ELSE 1 END", 1},
    {"nullif(", "i", ", 7)", 1},
    {"NOT ", "i = 1", "", -2},
    {"- ", "i", "", -2},
    {"(", "i", " + 0)", 1},
    {"(", "i", ")::int", 1},
    {"(0 + ", "i", ")", 1},
    {"i IN (1, 2, i) AND (", "true", ")", 1},
    {"CAST(", "i", " AS BIGINT)", 1},
    {"greatest(0, ", "i", ")", 1},
    {"", "i = 1", " IS NULL", -2},
    {"(i LIKE ANY ('1', ", "'2'", "))", -2},
};

static void test_nesting(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        static const int depths[] = {1, 10, 100, 240, 490, 600, 3000, 50000};
        for (size_t j = 0; j < sizeof(depths) / sizeof(depths[0]); j++) {
            char *text = nest(shapes[i].before, shapes[i].middle, shapes[i].after, depths[j]);
            struct job job = run_small(text);
            if (job.status == MR_OK && shapes[i].value != -2)
                assert_int_equal(job.first, shapes[i].value);
            else if (job.status != MR_OK)
                assert_int_equal(job.status, MR_CONFIG);
            if (depths[j] <= 100 && job.status != MR_OK)
                print_message("%.40s: %s\n", text, job.err.message);
            mr_free(text);
        }
    }
}

static void test_chains(void **state)
{
    (void)state;
    char *text = nest("i = 5 OR ", "i = 1", "", 20000);
    struct job job = run_small(text);
    assert_int_equal(job.status, MR_OK);
    assert_int_equal(job.first, 1);
    mr_free(text);
    text = nest("i + ", "i", "", 100000);
    job = run_small(text);
    assert_int_equal(job.status, MR_CONFIG);
    assert_non_null(strstr(job.err.message, "nested deeper"));
    mr_free(text);
    text = nest("i + ", "i", "", 400);
    job = run_small(text);
    assert_int_equal(job.status, MR_OK);
    assert_int_equal(job.first, 401);
    mr_free(text);
    text = nest("i = 1 AND ", "true", "", 200000);
    job = run_small(text);
    assert_int_equal(job.status, MR_CONFIG);
    assert_non_null(strstr(job.err.message, "1 MiB"));
    mr_free(text);
    text = nest("i IN (1", "", "", 1);
    struct mr_bytes list;
    mr_bytes_init(&list, 16 << 20);
    mr_bytes_text(&list, text);
    for (int i = 0; i < 100000; i++)
        mr_bytes_printf(&list, ",%d", i);
    mr_bytes_text(&list, ")");
    job = run_small(list.data);
    assert_int_equal(job.status, MR_OK);
    assert_int_equal(job.first, 1);
    mr_bytes_reset(&list);
    mr_free(text);
}

/* Columns that build on each other: each doubles the tree, none the graph. */
static void test_sequential(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static char names[COUNT][16], texts[COUNT][32];
    const char *name_list[COUNT], *text_list[COUNT];
    struct mr_arena arena;
    struct mr_error err;
    struct mr_field own = fields[0];
    own.type = mr_type_of(MR_TYPE_FLOAT64);
    struct mr_schema schema = {1, &own};
    struct mr_sql_scope scope = {.schema = &schema};
    struct mr_projection *projection;
    int failed;
    for (int i = 0; i < COUNT; i++) {
        sprintf(names[i], "c%d", i);
        sprintf(texts[i], i ? "c%d + c%d" : "i + 0", i - 1, i - 1);
        name_list[i] = names[i];
        text_list[i] = texts[i];
    }
    mr_arena_init(&arena, NULL);
    assert_int_equal(mr_projection_compile(&arena, &scope, &session, COUNT, name_list, text_list,
                                           true, &projection, &failed, &err),
                     MR_OK);
    struct mr_value one = {.type = own.type, .u.f64 = 1};
    struct mr_column *column, *flat, *out[COUNT];
    struct mr_batch *batch;
    struct mr_eval *eval;
    mr_column_new_constant(NULL, own.type, &one, 3, &column, NULL);
    mr_column_flatten(NULL, column, &flat, NULL);
    mr_column_unref(column);
    mr_batch_new(&schema, 3, &flat, &batch, NULL);
    mr_eval_new(NULL, &session, &eval, NULL);
    assert_int_equal(mr_projection_eval(eval, projection, batch, out, &err), MR_OK);
    struct mr_value value;
    mr_column_get(out[10], 2, &value);
    assert_true(value.u.f64 == 1024.0);
    bool used[1] = {false};
    mr_expr_uses(mr_projection_expr(projection, COUNT - 1), used);
    assert_true(used[0]);
    for (int i = 0; i < COUNT; i++)
        mr_column_unref(out[i]);
    mr_eval_free(eval);
    mr_batch_unref(batch);
    mr_arena_reset(&arena);
}

static void test_syntax_check(void **state)
{
    (void)state;
    struct mr_arena arena;
    struct mr_error err;
    const char **columns;
    int count;
    mr_arena_init(&arena, NULL);
    assert_int_equal(mr_expr_check_syntax(&arena, "a > 1 AND A < b.c AND coalesce(d, a) = 1",
                                          &columns, &count, &err),
                     MR_OK);
    assert_int_equal(count, 4); /* b.c: the column c of the frame b, or a field of the column b */
    assert_string_equal(columns[0], "a");
    assert_int_equal(mr_expr_check_syntax(&arena, "year + 1", &columns, &count, &err), MR_OK);
    assert_int_equal(count, 1);
    assert_string_equal(columns[0], "year");
    assert_int_equal(mr_expr_check_syntax(&arena, "if(a)", &columns, &count, &err), MR_CONFIG);
    assert_int_equal(mr_expr_check_syntax(&arena, "colesce(a, b)", NULL, NULL, &err), MR_CONFIG);
    assert_non_null(strstr(err.hint, "coalesce"));
    mr_arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_sequential),
        cmocka_unit_test(test_syntax_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
