/*
 * window.c - expressions over window functions, taken apart.
 *
 * A window operator computes calls; what stands around them is an ordinary expression over the rows and the results of
 * the calls. So a text is parsed, each call in it is taken out and replaced by a name, and all pieces are printed back
 * to text, for whoever compiles them: calls' arguments become columns before the sort, outputs are evaluated behind
 * it. Which functions are aggregates is known to aggregate.h; here are only those that mean nothing outside of a window.
 */
#include "sql/window.h"

#include "base/text.h"
#include "sql/aggregate_call.h"
#include "sql/ast.h"
#include "sql/lexer.h"
#include "sql/query.h"

#include <string.h>

struct function {
    const char *names; /* separated by blanks */
    enum mr_window_kind kind;
    int least, most;
    const char *signature;
    const char *doc;
};

static const struct function functions[] = {
    {"row_number", MR_WINDOW_ROW_NUMBER, 0, 0, "row_number()",
     "The number of the row in its partition, from 1."},
    {"rank", MR_WINDOW_RANK, 0, 0, "rank()",
     "One more than the number of rows before it that are not its equals in the order."},
    {"dense_rank", MR_WINDOW_DENSE_RANK, 0, 0, "dense_rank()",
     "As rank, without gaps behind equals."},
    {"percent_rank", MR_WINDOW_PERCENT_RANK, 0, 0, "percent_rank()",
     "(rank - 1) / (rows of the partition - 1); 0 when it is alone."},
    {"cume_dist", MR_WINDOW_CUME_DIST, 0, 0, "cume_dist()",
     "The part of the partition's rows that are before it or its equals."},
    {"ntile", MR_WINDOW_NTILE, 0, 1, "ntile([n])",
     "The number, from 1, of the bucket when the partition is cut into n (default 1) of about "
     "equal "
     "size."},
    {"lag", MR_WINDOW_LAG, 1, 3, "lag(x[, n[, default]]) [IGNORE NULLS]",
     "x of the row n (default 1) before this one; the default (NULL) where there is none."},
    {"lead", MR_WINDOW_LEAD, 1, 3, "lead(x[, n[, default]]) [IGNORE NULLS]",
     "x of the row n (default 1) behind this one; the default (NULL) where there is none."},
    {"first_value first any_value", MR_WINDOW_FIRST, 1, 2,
     "first_value(x[, ignoreNulls]) [IGNORE NULLS]", "x of the first row of the frame."},
    {"last_value last", MR_WINDOW_LAST, 1, 2, "last_value(x[, ignoreNulls]) [IGNORE NULLS]",
     "x of the last row of the frame."},
    {"nth_value", MR_WINDOW_NTH, 2, 2, "nth_value(x, n) [IGNORE NULLS]",
     "x of the n-th row of the frame, NULL where it has fewer."},
};
#define NFUNCTIONS (sizeof functions / sizeof functions[0])

bool mr_sql_window_doc(size_t i, struct mr_function_doc *out)
{
    if (i >= NFUNCTIONS)
        return false;
    *out = (struct mr_function_doc){functions[i].names, functions[i].signature, "window functions",
                                    functions[i].doc};
    return true;
}

static const struct function *find_function(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < NFUNCTIONS; i++) {
        for (const char *at = functions[i].names; *at;) {
            size_t n = strcspn(at, " ");
            char word[32];
            memcpy(word, at, n);
            word[n] = '\0';
            if (n == size && mr_text_equal_nocase(word, name))
                return &functions[i];
            at += n + (at[n] == ' ');
        }
    }
    return NULL;
}

bool mr_window_is_function(const char *name)
{
    return find_function(name) != NULL;
}

/* ---- frames -------------------------------------------------------------------------------- */

static const char *print(struct mr_arena *arena, const struct mr_ast *ast, struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
    mr_ast_print(&bytes, ast);
    const char *out = NULL;
    if (mr_bytes_status(&bytes, err) == MR_OK) {
        out = mr_arena_strndup(arena, bytes.data, bytes.size);
        if (!out)
            mr_error_nomem(err);
    }
    mr_bytes_reset(&bytes);
    return out;
}

static enum mr_window_bound bound_of(const char *text)
{
    if (!text || !strcmp(text, "CURRENT ROW"))
        return MR_BOUND_CURRENT;
    if (!strcmp(text, "UNBOUNDED PRECEDING"))
        return MR_BOUND_FIRST;
    if (!strcmp(text, "UNBOUNDED FOLLOWING"))
        return MR_BOUND_LAST;
    return !strcmp(text, "PRECEDING") ? MR_BOUND_PRECEDING : MR_BOUND_FOLLOWING;
}

enum mr_status mr_window_frame_parse(struct mr_arena *arena, const char *text,
                                     struct mr_window_frame *out, struct mr_error *err)
{
    struct mr_ast *ast;
    char *call = mr_arena_printf(arena, "rank() OVER (%s)", text);
    if (!call)
        return mr_error_nomem(err);
    MR_TRY(mr_sql_parse(arena, call, &ast, err));
    const struct mr_ast_window *window = ast->window;
    if (!window || !window->frame || window->npartitions || window->norders || window->name)
        return mr_error_config(err, "expected ROWS or RANGE BETWEEN a AND b, found %.80s", text);
    *out = (struct mr_window_frame){.rows = !strcmp(window->frame, "ROWS"),
                                    .from = bound_of(window->from),
                                    .to = bound_of(window->to)};
    if (window->from_offset) {
        out->from_offset = print(arena, window->from_offset, err);
        if (!out->from_offset)
            return err ? err->status : MR_NOMEM;
    }
    if (window->to_offset) {
        out->to_offset = print(arena, window->to_offset, err);
        if (!out->to_offset)
            return err ? err->status : MR_NOMEM;
    }
    if (out->from == MR_BOUND_LAST || out->to == MR_BOUND_FIRST || out->from > out->to)
        return mr_error_config(err, "the frame ends before it begins");
    return MR_OK;
}

struct mr_window_frame mr_window_frame_default(bool ordered)
{
    return (struct mr_window_frame){.rows = !ordered,
                                    .from = MR_BOUND_FIRST,
                                    .to = ordered ? MR_BOUND_CURRENT : MR_BOUND_LAST};
}

/* ---- calls --------------------------------------------------------------------------------- */

struct splitter {
    struct mr_arena *arena;
    const char *text;
    struct mr_window_call *calls;
    int ncalls;
    int capacity;
    struct mr_error *err;
};

const char *mr_window_result_name(struct mr_arena *arena, int call)
{
    return mr_arena_printf(arena, "#w%d", call);
}

static enum mr_status grow(struct splitter *self)
{
    if (self->ncalls < self->capacity)
        return MR_OK;
    int capacity = self->capacity * 2 + 8;
    struct mr_window_call *calls = mr_arena_calloc(self->arena, (size_t)capacity, sizeof *calls);
    if (!calls)
        return mr_error_nomem(self->err);
    if (self->ncalls)
        memcpy(calls, self->calls, (size_t)self->ncalls * sizeof *calls);
    self->calls = calls;
    self->capacity = capacity;
    return MR_OK;
}

static enum mr_status check_call(struct splitter *self, const struct mr_ast *ast,
                                 const struct function *function)
{
    if (ast->window) {
        mr_lexer_fail(self->text, ast->position, self->err, "OVER is not written here");
        mr_error_hint(self->err, "partitionBy, orderBy and frame of the step say it");
        return MR_CONFIG;
    }
    if (ast->distinct)
        return mr_lexer_fail(self->text, ast->position, self->err,
                             "%s(DISTINCT ..) is not possible over a window", ast->name);
    if (!function)
        return MR_OK;
    if (ast->nargs < function->least || ast->nargs > function->most)
        return mr_lexer_fail(self->text, ast->position, self->err, "%s has %d arguments: %s",
                             ast->name, ast->nargs, function->signature);
    if (ast->filter)
        return mr_lexer_fail(self->text, ast->position, self->err, "%s takes no FILTER", ast->name);
    return MR_OK;
}

/* first(x, true): the second argument says whether NULLs are ignored. */
static enum mr_status ignores_nulls(struct splitter *self, const struct mr_ast *ast, bool *out)
{
    const struct mr_ast *second = ast->args[1];
    if (second->kind != MR_AST_LITERAL || second->literal.is_null ||
        second->literal.type->id != MR_TYPE_BOOL)
        return mr_lexer_fail(self->text, second->position, self->err,
                             "expected true or false, whether NULLs are ignored");
    *out = second->literal.u.i64 != 0;
    return MR_OK;
}

static enum mr_status fill_call(struct splitter *self, const struct mr_ast *ast,
                                const struct function *function, struct mr_window_call *call)
{
    const char **args = mr_arena_calloc(self->arena, (size_t)ast->nargs + 1, sizeof(*args));
    char *name = mr_arena_strdup(self->arena, ast->name);
    if (!args || !name)
        return mr_error_nomem(self->err);
    for (char *c = name; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    call->kind = function ? function->kind : MR_WINDOW_AGGREGATE;
    call->name = name;
    call->nargs = ast->nargs;
    call->args = args;
    call->ignore_nulls = ast->ignore_nulls;
    call->star = ast->nargs == 1 && ast->args[0]->kind == MR_AST_STAR;
    if ((call->kind == MR_WINDOW_FIRST || call->kind == MR_WINDOW_LAST) && ast->nargs == 2) {
        MR_TRY(ignores_nulls(self, ast, &call->ignore_nulls));
        call->nargs = 1;
    }
    for (int i = 0; i < call->nargs && !call->star; i++) {
        args[i] = print(self->arena, ast->args[i], self->err);
        if (!args[i])
            return self->err ? self->err->status : MR_NOMEM;
    }
    if (ast->filter) {
        call->filter = print(self->arena, ast->filter, self->err);
        if (!call->filter)
            return self->err ? self->err->status : MR_NOMEM;
    }
    return MR_OK;
}

static enum mr_status take_call(struct splitter *self, struct mr_ast *ast,
                                const struct function *function)
{
    MR_TRY(check_call(self, ast, function));
    const char *text = print(self->arena, ast, self->err);
    if (!text)
        return self->err ? self->err->status : MR_NOMEM;
    int c = 0;
    while (c < self->ncalls && strcmp(self->calls[c].text, text) != 0)
        c++;
    if (c == self->ncalls) {
        MR_TRY(grow(self));
        struct mr_window_call *call = &self->calls[c];
        *call = (struct mr_window_call){.text = text};
        MR_TRY(fill_call(self, ast, function, call));
        self->ncalls++;
    }
    const char *name = mr_window_result_name(self->arena, c);
    if (!name)
        return mr_error_nomem(self->err);
    struct mr_ast column = {.kind = MR_AST_NAME,
                            .depth = 1,
                            .position = ast->position,
                            .name = name};
    *ast = column;
    return MR_OK;
}

/* The tree is as deep as the parser allows: 500 levels. */
static enum mr_status take_calls(struct splitter *self, struct mr_ast *ast)
{
    if (!ast || ast->split)
        return MR_OK;
    if (ast->kind == MR_AST_CALL && !ast->operator_call) {
        const struct function *function = find_function(ast->name);
        if (function || mr_aggregate_find(ast->name))
            return take_call(self, ast, function);
    }
    ast->split = true;
    MR_TRY(take_calls(self, ast->operand));
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(take_calls(self, ast->args[i]));
    return MR_OK;
}

enum mr_status mr_window_split(struct mr_arena *arena, const char *const *texts, int count,
                               struct mr_window_split *out, int *failed, struct mr_error *err)
{
    struct splitter self = {.arena = arena, .err = err};
    const char **outputs = mr_arena_calloc(arena, (size_t)count + 1, sizeof(*outputs));
    if (!outputs)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++) {
        struct mr_ast *ast;
        *failed = i;
        self.text = texts[i];
        MR_TRY(mr_sql_parse(arena, texts[i], &ast, err));
        MR_TRY(take_calls(&self, ast));
        outputs[i] = print(arena, ast, err);
        if (!outputs[i])
            return err ? err->status : MR_NOMEM;
    }
    *out = (struct mr_window_split){self.ncalls, self.calls, outputs};
    return MR_OK;
}
