/*
 * aggregate_stages.c - DISTINCT by two aggregations.
 *
 *   by k:  count(DISTINCT x), sum(y), count(*)
 *
 *   by k, x AS `.d0`:   `.p1` = sum(y), `.p2` = count(*)
 *   by k:               count(`.d0`), sum(`.p1`), coalesce(sum(`.p2`), 0)
 *
 * The texts are taken apart as for compiling (aggregate_split.c), the calls replaced, and printed again. Types are those
 * of the compiled original: a sum of decimals is cast back.
 */
#include "sql/aggregate_call.h"
#include "sql/query.h"

#include "base/text.h"

struct stager {
    struct mr_arena *arena;
    const struct mr_aggregation_ask *ask;
    const struct mr_aggregation *aggregation;
    struct mr_agg_splitter splitter;
    struct mr_ast **texts;
    struct mr_ast *having;
    struct mr_ast *distinct; /* the first call with DISTINCT */
    struct mr_error *err;
};

/* Parses and splits as mr_aggregation_compile did: the calls come in the same order. */
static enum mr_status take_apart(struct stager *stager)
{
    const struct mr_aggregation_ask *ask = stager->ask;
    struct mr_arena *arena = stager->arena;
    struct mr_ast **groups = mr_arena_calloc(arena, (size_t)ask->ngroups + 1, sizeof(*groups));
    stager->texts = mr_arena_calloc(arena, (size_t)ask->count + 1, sizeof(*stager->texts));
    if (!groups || !stager->texts)
        return mr_error_nomem(stager->err);
    for (int g = 0; g < ask->ngroups; g++) {
        MR_TRY(mr_sql_parse(arena, ask->groups[g], &groups[g], stager->err));
        (void)mr_agg_ast_hash(&ask->scope, groups[g]);
    }
    struct mr_agg_splitter *splitter = &stager->splitter;
    *splitter = (struct mr_agg_splitter){.arena = arena,
                                         .scope = ask->scope,
                                         .ngroups = ask->ngroups,
                                         .groups = groups,
                                         .group_names = ask->group_names,
                                         .err = stager->err};
    for (int i = 0; i < ask->count; i++) {
        splitter->text = ask->texts[i];
        MR_TRY(mr_sql_parse(arena, ask->texts[i], &stager->texts[i], stager->err));
        MR_TRY(mr_agg_split(splitter, stager->texts[i]));
    }
    if (!ask->having)
        return MR_OK;
    MR_TRY(mr_sql_parse(arena, ask->having, &stager->having, stager->err));
    splitter->nnames = ask->count;
    splitter->names = ask->names;
    splitter->outputs = stager->texts;
    splitter->text = ask->having;
    return mr_agg_split(splitter, stager->having);
}

static bool same_arguments(const struct mr_agg_splitter *splitter, const struct mr_ast *a,
                           const struct mr_ast *b)
{
    if (a->nargs != b->nargs)
        return false;
    for (int i = 0; i < a->nargs; i++)
        if (mr_agg_ast_hash(&splitter->scope, a->args[i]) !=
            mr_agg_ast_hash(&splitter->scope, b->args[i]))
            return false;
    return true;
}

/* Functions whose results can be aggregated again, and by what. */
static const char *second_function(const struct mr_agg_call *call)
{
    static const char *const again[][2] = {{"sum", "sum"},         {"min", "min"},
                                           {"max", "max"},         {"count", "sum"},
                                           {"count_if", "sum"},    {"bool_and", "bool_and"},
                                           {"bool_or", "bool_or"}, {"bit_and", "bit_and"},
                                           {"bit_or", "bit_or"},   {"bit_xor", "bit_xor"}};
    const char *names = call->function->names;
    size_t size = strcspn(names, " ");
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++)
        if (strlen(again[i][0]) == size && memcmp(again[i][0], names, size) == 0)
            return again[i][1];
    return NULL;
}

static bool can_stage(struct stager *stager)
{
    const struct mr_agg_splitter *splitter = &stager->splitter;
    for (int c = 0; c < splitter->ncalls; c++) {
        struct mr_ast *ast = splitter->calls[c];
        const struct mr_agg_call *call = &stager->aggregation->calls[c];
        if (!ast->distinct || !call->distinct) {
            if (call->distinct || !second_function(call))
                return false;
            continue;
        }
        if (ast->filter || ast->order ||
            (stager->distinct && !same_arguments(splitter, stager->distinct, ast)))
            return false;
        if (!stager->distinct)
            stager->distinct = ast;
    }
    return stager->distinct != NULL;
}

static const char *print(struct stager *stager, const struct mr_ast *ast)
{
    struct mr_bytes bytes;
    const char *text = NULL;
    mr_bytes_init(&bytes, MR_SQL_MAX_TEXT);
    mr_ast_print(&bytes, ast);
    if (mr_bytes_status(&bytes, stager->err) == MR_OK &&
        !(text = mr_arena_strndup(stager->arena, bytes.data, bytes.size)))
        mr_error_nomem(stager->err);
    mr_bytes_reset(&bytes);
    return text;
}

/* What stands for call c in the second aggregation. */
static const char *replacement(struct stager *stager, int c)
{
    const struct mr_ast *ast = stager->splitter.calls[c];
    const struct mr_agg_call *call = &stager->aggregation->calls[c];
    struct mr_arena *arena = stager->arena;
    char type[64];
    if (ast->distinct && call->distinct) {
        const char *text = mr_arena_printf(arena, "%s(", ast->name);
        for (int a = 0; a < ast->nargs && text; a++)
            text = mr_arena_printf(arena, "%s%s`.d%d`", text, a ? ", " : "", a);
        return text ? mr_arena_printf(arena, "%s)", text) : NULL;
    }
    const char *function = second_function(call);
    if (!call->nullable) /* counts */
        return mr_arena_printf(arena, "coalesce(%s(`.p%d`), 0L)", function, c);
    if (call->type->id != MR_TYPE_DECIMAL || strcmp(function, "sum") != 0)
        return mr_arena_printf(arena, "%s(`.p%d`)", function, c);
    return mr_arena_printf(arena, "CAST(sum(`.p%d`) AS %s)", c,
                           mr_type_text(call->type, type, sizeof type));
}

/* COLUMNs become group names and replacements. */
static enum mr_status replace(struct stager *stager, struct mr_ast *ast)
{
    int ngroups = stager->ask->ngroups;
    if (!ast)
        return MR_OK;
    if (ast->kind == MR_AST_COLUMN && ast->column < ngroups) {
        *ast = (struct mr_ast){.kind = MR_AST_NAME,
                               .name = stager->ask->group_names[ast->column],
                               .depth = 1};
        return MR_OK;
    }
    if (ast->kind == MR_AST_COLUMN) {
        struct mr_ast *other;
        const char *text = replacement(stager, ast->column - ngroups);
        if (!text)
            return mr_error_nomem(stager->err);
        MR_TRY(mr_sql_parse(stager->arena, text, &other, stager->err));
        *ast = *other;
        return MR_OK;
    }
    if (!ast->split) /* seen already, or of a replacement */
        return MR_OK;
    ast->split = false;
    MR_TRY(replace(stager, ast->operand));
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(replace(stager, ast->args[i]));
    return MR_OK;
}

static enum mr_status first_stage(struct stager *stager, struct mr_aggregation_stages *out)
{
    const struct mr_aggregation_ask *ask = stager->ask;
    const struct mr_agg_splitter *splitter = &stager->splitter;
    struct mr_arena *arena = stager->arena;
    int nargs = stager->distinct->nargs;
    const char **groups = mr_arena_calloc(arena, (size_t)(ask->ngroups + nargs), sizeof(*groups));
    const char **texts = mr_arena_calloc(arena, (size_t)splitter->ncalls, sizeof(*texts));
    const char **names = mr_arena_calloc(arena, (size_t)splitter->ncalls, sizeof(*names));
    if (!groups || !texts || !names)
        return mr_error_nomem(stager->err);
    for (int g = 0; g < ask->ngroups; g++) {
        struct mr_ast name = {.kind = MR_AST_NAME, .name = ask->group_names[g]};
        const char *quoted = print(stager, &name);
        groups[g] = quoted ? mr_arena_printf(arena, "%s AS %s", ask->groups[g], quoted) : NULL;
    }
    for (int a = 0; a < nargs; a++) {
        const char *text = print(stager, stager->distinct->args[a]);
        groups[ask->ngroups + a] = text ? mr_arena_printf(arena, "%s AS `.d%d`", text, a) : NULL;
    }
    for (int c = 0; c < splitter->ncalls; c++) {
        if (splitter->calls[c]->distinct && stager->aggregation->calls[c].distinct)
            continue;
        texts[out->count] = print(stager, splitter->calls[c]);
        names[out->count] = mr_arena_printf(arena, ".p%d", c);
        if (!texts[out->count] || !names[out->count])
            return mr_error_nomem(stager->err);
        out->count++;
    }
    out->ngroups = ask->ngroups + nargs;
    for (int g = 0; g < out->ngroups; g++)
        if (!groups[g])
            return mr_error_nomem(stager->err);
    out->groups = groups;
    out->texts = texts;
    out->names = names;
    return MR_OK;
}

enum mr_status mr_aggregation_stage(struct mr_arena *arena, const struct mr_aggregation_ask *ask,
                                    const struct mr_aggregation *aggregation,
                                    struct mr_aggregation_stages *out, struct mr_error *err)
{
    struct stager stager = {.arena = arena, .ask = ask, .aggregation = aggregation, .err = err};
    *out = (struct mr_aggregation_stages){0};
    bool any = false;
    for (int c = 0; c < aggregation->ncalls; c++)
        any |= aggregation->calls[c].distinct;
    if (!any)
        return MR_OK;
    MR_TRY(take_apart(&stager));
    if (stager.splitter.ncalls != aggregation->ncalls)
        return mr_error_internal(err, "an aggregation was taken apart in two ways");
    if (!can_stage(&stager))
        return MR_OK;
    MR_TRY(first_stage(&stager, out));
    const char **second = mr_arena_calloc(arena, (size_t)ask->count + 1, sizeof(*second));
    if (!second)
        return mr_error_nomem(err);
    for (int i = 0; i < ask->count; i++) {
        MR_TRY(replace(&stager, stager.texts[i]));
        second[i] = print(&stager, stager.texts[i]);
        if (!second[i])
            return err ? err->status : MR_NOMEM;
    }
    if (stager.having) {
        MR_TRY(replace(&stager, stager.having));
        out->having = print(&stager, stager.having);
        if (!out->having)
            return err ? err->status : MR_NOMEM;
    }
    out->second = second;
    return MR_OK;
}
