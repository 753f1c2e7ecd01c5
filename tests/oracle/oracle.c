/*
 * oracle.c - our answers beside Spark's: every expression of data/, in both ANSI modes, value for value.
 *
 * An expression is evaluated over the whole batch of inputs; where that raises an error it is evaluated again for each row
 * by itself, since the data tell which rows fail. What differs must be listed in differences.tsv, with the mode, what kind
 * of difference it is, the function, a regular expression for the expression, and the reason; an entry that matches no
 * difference any more fails as well. $ORACLE_FAILURES names a file that receives every difference, listed or not.
 */
#include "oracle/oracle_value.h"
#include "sql/expr.h"

#include <glob.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS     64
#define MAX_ROWS        32
#define MAX_DIFFERENCES 400
#define SHOWN           25
/* Java's StrictMath and libm round the last digit of these differently. */
#define ULPS 2

/* How an answer can differ. */
enum kind {
    SAME,
    REFUSED,  /* Spark has it, we do not compile it */
    ACCEPTED, /* we compile what Spark refuses */
    TYPE,     /* another type */
    ERROR,    /* an error where Spark has a value */
    RANGE,    /* the same, and the error is that a number is out of range */
    VALUE,    /* another value */
    SILENT,   /* a value where Spark has an error */
    KINDS
};
static const char *const kind_names[KINDS] = {"same",  "refused", "accepted", "type",
                                              "error", "range",   "value",    "silent"};

struct difference {
    char *mode;
    char *kinds;
    char *function;
    char *pattern;
    bool open; /* not decided yet: may have been mended meanwhile */
    regex_t regex;
    int matches;
};

struct oracle {
    struct mr_arena arena;
    struct mr_memory memory; /* of evaluations; texts of 2 GB are not made */
    const struct mr_schema *schema;
    struct mr_batch *batch;
    struct mr_batch *rows[MAX_ROWS]; /* the same columns, one row selected */
    int nrows;
    struct difference differences[MAX_DIFFERENCES];
    int ndifferences;
    struct mr_tz *zones[8];
    int nzones;
    FILE *report;
    long expressions, answers, listed, unlisted;
    long by_kind[KINDS];
};

/* One expression in one mode. */
struct question {
    const char *family;
    const char *function;
    const char *text;
    const char *zone;
    const char *mode; /* "on", "off" */
    json_t *answer;   /* "refused" or [type, values] */
    int ulps;
};

static void must(enum mr_status status, const struct mr_error *err)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "oracle: %s\n", err->message);
    exit(1);
}

static FILE *open_data(const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", ORACLE_DIR, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "oracle: cannot read %s\n", path);
        exit(1);
    }
    return file;
}

/* The next line as JSON; NULL at the end. */
static json_t *next_line(FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = getline(&line, &capacity, file);
    json_error_t error;
    json_t *json = size > 0 ? json_loadb(line, (size_t)size, JSON_ALLOW_NUL, &error) : NULL;
    if (size > 0 && json == NULL) {
        fprintf(stderr, "oracle: %s in %.200s\n", error.text, line);
        exit(1);
    }
    free(line);
    return json;
}

static struct mr_column *build_column(const struct mr_type *type, json_t *values, bool months)
{
    struct mr_builder builder;
    struct mr_column *column;
    struct mr_error err;
    json_t *value;
    size_t i;
    must(mr_builder_init(&builder, NULL, type, &err), &err);
    json_array_foreach(values, i, value)
    {
        json_t *parts = months && !json_is_null(value)
                            ? json_pack("[I,i,i]", json_integer_value(value), 0, 0)
                            : json_incref(value);
        must(oracle_append(&builder, parts, &err), &err);
        json_decref(parts);
    }
    must(mr_builder_finish(&builder, &column, &err), &err);
    mr_builder_reset(&builder);
    return column;
}

static struct mr_batch *select_row(struct mr_batch *batch, int32_t row)
{
    struct mr_buffer *rows;
    struct mr_selection *selection;
    struct mr_batch *out;
    struct mr_error err;
    must(mr_buffer_new(NULL, sizeof(row), &rows, &err), &err);
    memcpy(rows->data, &row, sizeof(row));
    mr_buffer_finish(rows, sizeof(row));
    must(mr_selection_new(rows, 1, &selection, &err), &err);
    must(mr_batch_select(batch, selection, &out, &err), &err);
    return out;
}

static void load_inputs(struct oracle *oracle)
{
    FILE *file = open_data("data/inputs.jsonl");
    struct mr_field fields[MAX_COLUMNS];
    struct mr_column *columns[MAX_COLUMNS];
    struct mr_error err;
    json_t *line = next_line(file);
    int n = 0;
    oracle->nrows = (int)json_integer_value(json_object_get(line, "rows"));
    json_decref(line);
    while ((line = next_line(file)) != NULL && n < MAX_COLUMNS) {
        json_t *answer = json_object_get(line, "on");
        const char *spark = json_string_value(json_array_get(answer, 0));
        char name[256];
        oracle_type_name(spark, name, sizeof(name));
        fields[n] = (struct mr_field){.nullable = true};
        fields[n].name =
            mr_arena_strdup(&oracle->arena, json_string_value(json_object_get(line, "e")));
        must(mr_type_parse(&oracle->arena, name, &fields[n].type, &err), &err);
        columns[n] = build_column(fields[n].type, json_array_get(answer, 1),
                                  strcmp(spark, "interval year to month") == 0);
        json_decref(line);
        n++;
    }
    fclose(file);
    oracle->schema = mr_schema_new(&oracle->arena, fields, n);
    must(mr_batch_new(oracle->schema, oracle->nrows, columns, &oracle->batch, &err), &err);
    for (int i = 0; i < oracle->nrows; i++)
        oracle->rows[i] = select_row(oracle->batch, i);
}

static const struct mr_tz *zone_named(struct oracle *oracle, const char *name)
{
    struct mr_error err;
    for (int i = 0; i < oracle->nzones; i++) {
        if (strcmp(mr_tz_name(oracle->zones[i]), name) == 0)
            return oracle->zones[i];
    }
    must(mr_tz_new(name, &oracle->zones[oracle->nzones], &err), &err);
    return oracle->zones[oracle->nzones++];
}

/* mode, kinds, function, expression, reason, separated by tabs; # begins a comment. */
static void load_differences(struct oracle *oracle)
{
    FILE *file = open_data("differences.tsv");
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        struct difference *entry = &oracle->differences[oracle->ndifferences];
        char *rest = line;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        entry->mode = mr_arena_strdup(&oracle->arena, strsep(&rest, "\t"));
        const char *fields[3];
        for (int i = 0; i < 3; i++) {
            const char *field = strsep(&rest, "\t");
            fields[i] = field ? field : "";
        }
        entry->kinds = mr_arena_strdup(&oracle->arena, fields[0]);
        entry->function = mr_arena_strdup(&oracle->arena, fields[1]);
        entry->pattern = mr_arena_strdup(&oracle->arena, fields[2]);
        if (rest == NULL || oracle->ndifferences == MAX_DIFFERENCES - 1 ||
            regcomp(&entry->regex, entry->pattern, REG_EXTENDED | REG_NOSUB) != 0) {
            fprintf(stderr, "oracle: differences.tsv: %s\n", line);
            exit(1);
        }
        entry->open = strncmp(rest, "open", 4) == 0;
        oracle->ndifferences++;
    }
    free(line);
    fclose(file);
}

static bool listed(const char *list, const char *word)
{
    size_t size = strlen(word);
    if (strcmp(list, word) == 0)
        return true;
    for (const char *at = size ? strstr(list, word) : NULL; at; at = strstr(at + 1, word)) {
        if ((at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
            return true;
    }
    return strcmp(list, "*") == 0;
}

static bool is_listed(struct oracle *oracle, const struct question *question, enum kind kind)
{
    bool found = false;
    for (int i = 0; i < oracle->ndifferences; i++) {
        struct difference *entry = &oracle->differences[i];
        if (listed(entry->mode, question->mode) && listed(entry->kinds, kind_names[kind]) &&
            listed(entry->function, question->function) &&
            regexec(&entry->regex, question->text, 0, NULL, 0) == 0) {
            entry->matches++;
            found = true;
        }
    }
    return found;
}

static void show(struct oracle *oracle, const struct question *question, enum kind kind,
                 const char *ours)
{
    if (kind == ERROR && (strstr(ours, "overflow") || strstr(ours, "out of the range")))
        kind = RANGE;
    bool known = is_listed(oracle, question, kind);
    oracle->by_kind[kind]++;
    oracle->listed += known;
    oracle->unlisted += !known;
    if (oracle->report == NULL && (known || oracle->unlisted > SHOWN))
        return;
    char *spark = json_dumps(question->answer, JSON_ENCODE_ANY | JSON_COMPACT);
    fprintf(oracle->report ? oracle->report : stderr, "%s\t%s\t%s\t%s\t%s\t%s%s\t%s\t%s\n",
            known ? "listed" : "NEW", question->family, question->function, kind_names[kind],
            question->mode, strcmp(question->zone, "UTC") == 0 ? "" : question->zone,
            question->text, spark, ours);
    free(spark);
}

static const char *value_text(const struct mr_column *column, int64_t row, char out[200])
{
    struct mr_value value;
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_column_get(column, row, &value);
    mr_value_format(&value, &text);
    snprintf(out, 200, "%.*s", (int)text.size, text.data ? text.data : "");
    mr_bytes_reset(&text);
    return out;
}

/* Compares row `row` of our column (NULL: an error) with Spark's value. */
static enum kind compare_row(const struct mr_column *column, int64_t row, json_t *expected,
                             int ulps)
{
    bool fails = json_is_object(expected) && json_object_size(expected) == 0;
    if (column == NULL)
        return fails ? SAME : ERROR;
    if (fails)
        return SILENT;
    return oracle_equal(column, row, expected, ulps) ? SAME : VALUE;
}

static void compare_values(struct oracle *oracle, const struct question *question,
                           const struct mr_expr *expr, struct mr_eval *eval)
{
    struct mr_column *all = NULL;
    struct mr_error err;
    json_t *values = json_array_get(question->answer, 1);
    enum mr_status status = mr_expr_eval(eval, expr, oracle->batch, &all, &err);
    for (int row = 0; row < oracle->nrows; row++) {
        struct mr_column *one = all ? mr_column_ref(all) : NULL;
        json_t *expected = json_array_get(values, (size_t)row);
        bool skipped = json_object_get(expected, "skip") != NULL;
        if (status != MR_OK && !skipped)
            mr_expr_eval(eval, expr, oracle->rows[row], &one, &err);
        enum kind kind = skipped ? SAME : compare_row(one, row, expected, question->ulps);
        if (kind != SAME) {
            char text[200], ours[1400];
            snprintf(ours, sizeof(ours), "row %d: %s", row,
                     one ? value_text(one, row, text) : err.message);
            show(oracle, question, kind, ours);
            mr_column_unref(one);
            break;
        }
        mr_column_unref(one);
    }
    mr_column_unref(all);
}

static bool all_fail(json_t *values)
{
    json_t *value;
    size_t i;
    json_array_foreach(values, i, value)
    {
        if (!json_is_object(value) || json_object_size(value) > 0)
            return false;
    }
    return true;
}

static void ask(struct oracle *oracle, const struct question *question)
{
    struct mr_arena arena;
    struct mr_error err;
    struct mr_sql_scope scope = {.schema = oracle->schema};
    struct mr_sql_session session = {.ansi = strcmp(question->mode, "on") == 0,
                                     .tz = zone_named(oracle, question->zone)};
    struct mr_expr *expr;
    struct mr_eval *eval;
    bool refused = json_is_string(question->answer);
    char expected[512], type[512];
    mr_arena_init(&arena, NULL);
    oracle->answers++;
    if (mr_expr_compile(&arena, question->text, &scope, &session, &expr, &err) != MR_OK) {
        if (!refused && !all_fail(json_array_get(question->answer, 1)))
            show(oracle, question, REFUSED, err.message);
        goto out;
    }
    mr_type_text(mr_expr_type(expr), type, sizeof(type));
    if (refused) {
        show(oracle, question, ACCEPTED, type);
        goto out;
    }
    oracle_type_name(json_string_value(json_array_get(question->answer, 0)), expected,
                     sizeof(expected));
    if (strcmp(type, expected) != 0) {
        show(oracle, question, TYPE, type);
        goto out;
    }
    must(mr_eval_new(&oracle->memory, &session, &eval, &err), &err);
    compare_values(oracle, question, expr, eval);
    mr_eval_free(eval);
out:
    mr_arena_reset(&arena);
}

static int tolerance(const char *function)
{
    static const char *const inexact =
        "cbrt,exp,expm1,sin,cos,tan,cot,sec,csc,asin,acos,atan,sinh,cosh,tanh,asinh,acosh,atanh,"
        "atan2,hypot,pow,power,ln,log,log10,log2,log1p";
    return listed(inexact, function) ? ULPS : 0;
}

static void run_file(struct oracle *oracle, const char *path)
{
    FILE *file = fopen(path, "r");
    json_t *line = file ? next_line(file) : NULL, *header = line;
    const char *family = json_string_value(json_object_get(header, "family"));
    while (line && (line = next_line(file)) != NULL) {
        struct question question = {.family = family, .mode = "on"};
        question.function = json_string_value(json_object_get(line, "f"));
        question.text = json_string_value(json_object_get(line, "e"));
        question.zone = json_string_value(json_object_get(line, "z"));
        question.zone = question.zone ? question.zone : "UTC";
        question.answer = json_object_get(line, "on");
        question.ulps = tolerance(question.function);
        oracle->expressions++;
        ask(oracle, &question);
        question.mode = "off";
        if (json_object_get(line, "off"))
            question.answer = json_object_get(line, "off");
        ask(oracle, &question);
        json_decref(line);
    }
    json_decref(header);
    if (file)
        fclose(file);
}

static int finish(struct oracle *oracle)
{
    int stale = 0;
    for (int i = 0; i < oracle->ndifferences; i++) {
        struct difference *entry = &oracle->differences[i];
        if (entry->matches == 0 && !entry->open) {
            fprintf(stderr, "oracle: no longer differs: %s\t%s\t%s\t%s\n", entry->mode,
                    entry->kinds, entry->function, entry->pattern);
            stale++;
        }
    }
    printf("oracle: %ld expressions, %ld answers; %ld differ and are listed, %ld differ\n",
           oracle->expressions, oracle->answers, oracle->listed, oracle->unlisted);
    for (int kind = SAME + 1; kind < KINDS; kind++)
        printf("oracle: %s: %ld\n", kind_names[kind], oracle->by_kind[kind]);
    return stale > 0 || oracle->unlisted > 0 || oracle->expressions == 0;
}

static void oracle_free(struct oracle *oracle)
{
    for (int i = 0; i < oracle->ndifferences; i++)
        regfree(&oracle->differences[i].regex);
    for (int i = 0; i < oracle->nzones; i++)
        mr_tz_free(oracle->zones[i]);
    for (int i = 0; i < oracle->nrows; i++)
        mr_batch_unref(oracle->rows[i]);
    mr_batch_unref(oracle->batch);
    mr_arena_reset(&oracle->arena);
    free(oracle);
}

int main(void)
{
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    const char *report = getenv("ORACLE_FAILURES");
    glob_t files;
    if (oracle == NULL || glob(ORACLE_DIR "/data/*.jsonl", 0, NULL, &files) != 0) {
        fprintf(stderr, "oracle: no data in " ORACLE_DIR "/data\n");
        return 1;
    }
    mr_arena_init(&oracle->arena, NULL);
    mr_memory_init(&oracle->memory, NULL, "oracle", INT64_C(128) << 20);
    oracle->report = report ? fopen(report, "w") : NULL;
    load_inputs(oracle);
    load_differences(oracle);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (strstr(files.gl_pathv[i], "/inputs.jsonl") == NULL)
            run_file(oracle, files.gl_pathv[i]);
    }
    globfree(&files);
    if (oracle->report)
        fclose(oracle->report);
    int failed = finish(oracle);
    oracle_free(oracle);
    return failed;
}
