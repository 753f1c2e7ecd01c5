/*
 * expr_fixture.c - a batch with a column of every scalar type, NULLs in its last row, and the loop over cases.
 *
 *   row  i      l        d     s        ...
 *   0    1      10       1.5   'apple'
 *   1    2      20       -2.5  'Banana'
 *   2    3      30       NaN   ''
 *   3    NULL   NULL     NULL  NULL
 */
#include "unit/sql/expr_fixture.h"

#include "col/builder.h"
#include "col/kernel.h"
#include "sql/eval.h"
#include "sql/text_of.h"

#include <stdio.h>
#include <stdlib.h>

struct expr_fixture {
    struct mr_arena arena;
    struct mr_memory memory; /* of evaluations */
    struct mr_tz *tz;
    struct mr_sql_session session;
    const struct mr_schema *schema;
    struct mr_batch *batches[3];
};

static void must(enum mr_status status, const struct mr_error *err)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "fixture: %s (%s)\n", err->message, err->where);
    abort();
}

struct column_spec {
    const char *name;
    const char *type;
    const char *cells[4]; /* as text, cast to the type by the library itself; NULL */
};

static const struct column_spec specs[] = {
    {"b", "boolean", {"true", "false", "true", NULL}},
    {"t", "tinyint", {"1", "-128", "127", NULL}},
    {"h", "smallint", {"1", "-32768", "32767", NULL}},
    {"i", "int", {"1", "2", "3", NULL}},
    {"l", "bigint", {"10", "20", "30", NULL}},
    {"big", "bigint", {"9223372036854775807", "-9223372036854775808", "0", NULL}},
    {"f", "float", {"1.5", "-2.5", "0.1", NULL}},
    {"d", "double", {"1.5", "-2.5", "NaN", NULL}},
    {"dec", "decimal(10,2)", {"1.25", "-3.50", "100.00", NULL}},
    {"wide", "decimal(38,6)", {"1.5", "-2.25", "12345678901234567890123456789012.654321", NULL}},
    {"s", "string", {"apple", "Banana", "", NULL}},
    {"n", "string", {"12", "-7", " 30 ", NULL}},
    {"day", "date", {"2024-01-31", "1969-12-31", "2024-02-29", NULL}},
    {"ts",
     "timestamp",
     {"2024-01-31 12:30:45.123456Z", "1969-12-31 23:59:59Z", "2024-03-31 00:30:00Z", NULL}},
    {"ntz",
     "timestamp_ntz",
     {"2024-01-31 12:30:45", "1969-12-31 23:59:59", "2024-03-31 02:30:00", NULL}},
    {"active", "boolean", {"true", "true", "false", NULL}},
    {"age", "int", {"17", "18", "64", NULL}},
    {"überschrift", "string", {"ä", "öü", "x", NULL}},
};
#define NSPECS ((int)(sizeof(specs) / sizeof(specs[0])))

static struct mr_column *text_column(const struct column_spec *spec, struct mr_error *err)
{
    struct mr_builder builder;
    struct mr_column *column;
    must(mr_builder_init(&builder, NULL, mr_type_of(MR_TYPE_STRING), err), err);
    for (int i = 0; i < 4; i++) {
        if (spec->cells[i] == NULL)
            must(mr_builder_null(&builder, err), err);
        else
            must(mr_builder_bytes(&builder, spec->cells[i], strlen(spec->cells[i]), err), err);
    }
    must(mr_builder_finish(&builder, &column, err), err);
    mr_builder_reset(&builder);
    return column;
}

/* The text column cast to the type of the spec. */
static struct mr_column *typed_column(struct expr_fixture *fixture, const struct column_spec *spec,
                                      struct mr_error *err)
{
    static const struct mr_field field = {"x", NULL, true, NULL};
    struct mr_field own = field;
    own.type = mr_type_of(MR_TYPE_STRING);
    struct mr_schema schema = {1, &own};
    struct mr_column *text = text_column(spec, err), *out;
    struct mr_batch *batch;
    struct mr_expr *column, *cast;
    struct mr_eval *eval;
    const struct mr_type *type;
    must(mr_type_parse(&fixture->arena, spec->type, &type, err), err);
    must(mr_batch_new(&schema, 4, &text, &batch, err), err);
    must(mr_expr_column(&fixture->arena, &schema, 0, &column, err), err);
    must(mr_expr_cast(&fixture->arena, column, type, &fixture->session, &cast, err), err);
    must(mr_eval_new(NULL, &fixture->session, &eval, err), err);
    must(mr_expr_eval(eval, cast, batch, &out, err), err);
    mr_eval_free(eval);
    mr_batch_unref(batch);
    return out;
}

/* arr: [1, 2] | [] | [3, null] | NULL;  st: {1, a} | {null, b} | {3, c} | NULL;  m: {k -> 1, j -> 2} | {} | {k -> 3} | NULL */
static const char *const nested_types[] = {"array<int>", "struct<x:int,y:string>",
                                           "map<string,int>"};
static const char *const nested_names[] = {"arr", "st", "m"};
#define NNESTED  3
#define NCOLUMNS (NSPECS + NNESTED)

static void append_list(struct mr_builder *builder, int row, struct mr_error *err)
{
    struct mr_builder *item = &builder->children[0];
    if (row == 0) {
        must(mr_builder_int(item, 1, err), err);
        must(mr_builder_int(item, 2, err), err);
    } else if (row == 2) {
        must(mr_builder_int(item, 3, err), err);
        must(mr_builder_null(item, err), err);
    }
    must(mr_builder_list(builder, err), err);
}

static void append_struct(struct mr_builder *builder, int row, struct mr_error *err)
{
    if (row == 1)
        must(mr_builder_null(&builder->children[0], err), err);
    else
        must(mr_builder_int(&builder->children[0], row + 1, err), err);
    must(mr_builder_bytes(&builder->children[1], &"abc"[row], 1, err), err);
    must(mr_builder_struct(builder, err), err);
}

static void append_entry(struct mr_builder *builder, const char *key, int64_t value,
                         struct mr_error *err)
{
    struct mr_builder *entry = &builder->children[0];
    must(mr_builder_bytes(&entry->children[0], key, 1, err), err);
    must(mr_builder_int(&entry->children[1], value, err), err);
    must(mr_builder_struct(entry, err), err);
}

static void append_map(struct mr_builder *builder, int row, struct mr_error *err)
{
    if (row != 1)
        append_entry(builder, "k", row + 1, err);
    if (row == 0)
        append_entry(builder, "j", 2, err);
    must(mr_builder_list(builder, err), err);
}

static struct mr_column *nested_column(struct expr_fixture *fixture, int which,
                                       struct mr_error *err)
{
    static void (*const append[])(struct mr_builder *, int,
                                  struct mr_error *) = {append_list, append_struct, append_map};
    struct mr_builder builder;
    struct mr_column *column;
    const struct mr_type *type;
    must(mr_type_parse(&fixture->arena, nested_types[which], &type, err), err);
    must(mr_builder_init(&builder, NULL, type, err), err);
    for (int row = 0; row < 3; row++)
        append[which](&builder, row, err);
    must(mr_builder_null(&builder, err), err);
    must(mr_builder_finish(&builder, &column, err), err);
    mr_builder_reset(&builder);
    return column;
}

/* Each row's value as an entry of its own, the last row NULL. */
static struct mr_column *as_dictionary(struct mr_column *flat, struct mr_error *err)
{
    struct mr_column *entries, *out;
    struct mr_buffer *codes, *validity;
    static const int32_t rows[] = {2, 1, 0};
    must(mr_column_take(NULL, flat, rows, 3, &entries, err), err);
    must(mr_buffer_new(NULL, 16, &codes, err), err);
    must(mr_buffer_new(NULL, 1, &validity, err), err);
    memcpy(codes->data, (const int32_t[]){2, 1, 0, 0}, 16);
    validity->data[0] = 7;
    mr_buffer_finish(codes, 16);
    mr_buffer_finish(validity, 1);
    must(mr_column_new_dictionary(entries, 4, 1, validity, codes, &out, err), err);
    return out;
}

/* Two rows in front that would fail everything are not selected. */
static struct mr_batch *selected_batch(struct expr_fixture *fixture, struct mr_batch *flat,
                                       struct mr_error *err)
{
    struct mr_column *columns[NCOLUMNS];
    struct mr_batch *all, *out;
    struct mr_selection *selection;
    struct mr_buffer *rows;
    static const int32_t twice[] = {1, 2, 0, 1, 2, 3};
    for (int i = 0; i < NCOLUMNS; i++)
        must(mr_column_take(NULL, flat->columns[i], twice, 6, &columns[i], err), err);
    must(mr_batch_new(fixture->schema, 6, columns, &all, err), err);
    must(mr_buffer_new(NULL, 16, &rows, err), err);
    memcpy(rows->data, (const int32_t[]){2, 3, 4, 5}, 16);
    mr_buffer_finish(rows, 16);
    must(mr_selection_new(rows, 4, &selection, err), err);
    must(mr_batch_select(all, selection, &out, err), err);
    mr_batch_unref(all);
    return out;
}

struct expr_fixture *expr_fixture_new(enum session_kind session)
{
    struct expr_fixture *fixture = calloc(1, sizeof(*fixture));
    struct mr_error err;
    struct mr_field fields[NCOLUMNS];
    struct mr_column *flat[NCOLUMNS], *dictionary[NCOLUMNS];
    mr_arena_init(&fixture->arena, NULL);
    mr_memory_init(&fixture->memory, NULL, "fixture", INT64_C(256) << 20);
    must(mr_tz_new("UTC", &fixture->tz, &err), &err);
    fixture->session = (struct mr_sql_session){.ansi = true,
                                               .tz = fixture->tz,
                                               .now_micros = INT64_C(1718454896789012)};
    for (int i = 0; i < NSPECS; i++) {
        flat[i] = typed_column(fixture, &specs[i], &err);
        dictionary[i] = as_dictionary(flat[i], &err);
        fields[i] = (struct mr_field){specs[i].name, flat[i]->type, true, NULL};
    }
    for (int i = 0; i < NNESTED; i++) {
        flat[NSPECS + i] = nested_column(fixture, i, &err);
        dictionary[NSPECS + i] = mr_column_ref(flat[NSPECS + i]);
        fields[NSPECS + i] = (struct mr_field){nested_names[i], flat[NSPECS + i]->type, true, NULL};
    }
    fixture->schema = mr_schema_new(&fixture->arena, fields, NCOLUMNS);
    must(mr_batch_new(fixture->schema, 4, flat, &fixture->batches[BATCH_FLAT], &err), &err);
    must(mr_batch_new(fixture->schema, 4, dictionary, &fixture->batches[BATCH_DICTIONARY], &err),
         &err);
    fixture->batches[BATCH_SELECTION] = selected_batch(fixture, fixture->batches[BATCH_FLAT], &err);
    fixture->session.ansi = session != LEGACY_UTC;
    if (session == ANSI_BERLIN) {
        mr_tz_free(fixture->tz);
        must(mr_tz_new("Europe/Berlin", &fixture->tz, &err), &err);
        fixture->session.tz = fixture->tz;
    }
    return fixture;
}

void expr_fixture_free(struct expr_fixture *fixture)
{
    for (int i = 0; i < 3; i++)
        mr_batch_unref(fixture->batches[i]);
    mr_tz_free(fixture->tz);
    mr_arena_reset(&fixture->arena);
    free(fixture);
}

const struct mr_schema *expr_fixture_schema(const struct expr_fixture *fixture)
{
    return fixture->schema;
}

const struct mr_sql_session *expr_fixture_session(const struct expr_fixture *fixture)
{
    return &fixture->session;
}

static void value_text(const struct expr_fixture *fixture, const struct mr_column *column,
                       int64_t row, struct mr_bytes *out)
{
    if (mr_column_is_null(column, row))
        mr_bytes_text(out, "NULL");
    else if (column->type->id != MR_TYPE_BINARY)
        mr_text_of(&fixture->session, column, row, out);
    else {
        struct mr_value value;
        mr_column_get(column, row, &value);
        for (size_t i = 0; i < value.u.bytes.size; i++)
            mr_bytes_printf(out, "%02X", (unsigned char)value.u.bytes.data[i]);
    }
}

/* The selected rows joined by " | ", or one value if they are all equal. */
static void column_text(const struct expr_fixture *fixture, const struct mr_batch *batch,
                        const struct mr_column *column, struct mr_bytes *out)
{
    const int32_t *rows = mr_selection_rows(batch->selection);
    struct mr_bytes first, other;
    bool equal = true;
    mr_bytes_init(&first, 1 << 20);
    mr_bytes_init(&other, 1 << 20);
    for (int64_t i = 0; i < mr_batch_active(batch); i++) {
        struct mr_bytes *to = i ? &other : &first;
        mr_bytes_clear(&other);
        value_text(fixture, column, rows ? rows[i] : i, to);
        equal &= i == 0 || (first.size == other.size &&
                            (first.size == 0 || memcmp(first.data, other.data, first.size) == 0));
        mr_bytes_text(out, i ? " | " : "");
        mr_bytes_append(out, to->data ? to->data : "", to->size);
    }
    if (equal) {
        mr_bytes_clear(out);
        mr_bytes_append(out, first.data ? first.data : "", first.size);
    }
    mr_bytes_reset(&first);
    mr_bytes_reset(&other);
}

enum mr_status expr_fixture_evaluate(struct expr_fixture *fixture, enum batch_kind kind,
                                     struct mr_arena *arena, const char *text, bool with_type,
                                     struct mr_bytes *out, struct mr_error *err)
{
    const struct mr_batch *batch = fixture->batches[kind];
    struct mr_sql_scope scope = {.schema = fixture->schema};
    struct mr_expr *expr;
    struct mr_eval *eval;
    struct mr_column *column = NULL;
    char type[128];
    MR_TRY(mr_expr_compile(arena, text, &scope, &fixture->session, &expr, err));
    MR_TRY(mr_eval_new(&fixture->memory, &fixture->session, &eval, err));
    mr_eval_show_values(eval, true);
    enum mr_status status = mr_expr_eval(eval, expr, batch, &column, err);
    if (status == MR_OK)
        status = mr_column_check(column, err);
    if (status == MR_OK && !mr_type_equal(column->type, mr_expr_type(expr)))
        status = mr_error_internal(err, "the column is not of the expression's type");
    if (status == MR_OK && column->nulls > 0 && !mr_expr_nullable(expr) && batch->selection == NULL)
        status = mr_error_internal(err, "NULLs from an expression said to have none");
    if (status == MR_OK) {
        column_text(fixture, batch, column, out);
        if (with_type) {
            struct mr_bytes typed;
            mr_bytes_init(&typed, 1 << 20);
            mr_bytes_printf(&typed, "%s: %s", mr_type_text(mr_expr_type(expr), type, sizeof(type)),
                            out->data ? out->data : "");
            mr_bytes_clear(out);
            mr_bytes_append(out, typed.data, typed.size);
            mr_bytes_reset(&typed);
        }
    }
    mr_column_unref(column);
    mr_eval_free(eval);
    return status;
}

static bool matches(const struct expr_case *test, enum mr_status status, const struct mr_error *err,
                    const struct mr_bytes *out)
{
    if (test->expected[0] == '!')
        return (status == MR_CONFIG || status == MR_SOURCE) &&
               strstr(err->message, test->expected + 1) != NULL;
    return status == MR_OK && strcmp(out->data ? out->data : "", test->expected) == 0;
}

int expr_fixture_run(struct expr_fixture *fixture, enum batch_kind kind,
                     const struct expr_case *cases, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        struct mr_arena arena;
        struct mr_bytes out;
        struct mr_error err = {0};
        mr_arena_init(&arena, NULL);
        mr_bytes_init(&out, 1 << 20);
        bool typed = strstr(cases[i].expected, ": ") != NULL && cases[i].expected[0] != '!';
        enum mr_status status =
            expr_fixture_evaluate(fixture, kind, &arena, cases[i].expression, typed, &out, &err);
        if (!matches(&cases[i], status, &err, &out)) {
            failed++;
            fprintf(stderr, "encoding %d: %s\n  expected %s\n  got      %s%s\n", (int)kind,
                    cases[i].expression, cases[i].expected,
                    status == MR_OK ? (out.data ? out.data : "") : "error: ",
                    status == MR_OK ? "" : err.message);
        }
        mr_bytes_reset(&out);
        mr_arena_reset(&arena);
    }
    return failed;
}
