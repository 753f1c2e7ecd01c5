/*
 * aggregate.c - compiles expressions over aggregates.
 *
 *   groups     year(ts)                              keys      projection over the input
 *   texts      sum(price * qty) / count(*)           inputs    price * qty (shared by all calls that need it)
 *                                                    calls     sum(#0), count()
 *                                                    results   year(ts), sum(..), count(..)
 *                                                    outputs   #1 / #2 over the results
 *
 * Equal calls are one call, calls with the same arguments and way of accumulating share a state.
 */
#include "base/text.h"
#include "sql/aggregate_call.h"
#include "sql/lexer.h"

#include <stdio.h>

static const struct mr_aggregate_family *const families[] = {
    &mr_aggregates_count,   &mr_aggregates_sum, &mr_aggregates_pick,
    &mr_aggregates_moments, &mr_aggregates_bag, &mr_aggregates_sketch,
};
#define FAMILIES (sizeof families / sizeof families[0])

static bool has_name(const struct mr_aggregate *function, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = function->names; *at; at += *at == ' ') {
        size_t length = strcspn(at, " ");
        char one[64];
        snprintf(one, sizeof one, "%.*s", (int)length, at);
        if (length == size && mr_text_equal_nocase(one, name))
            return true;
        at += length;
    }
    return false;
}

const struct mr_aggregate *mr_aggregate_find(const char *name)
{
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t i = 0; i < families[f]->count; i++)
            if (has_name(&families[f]->functions[i], name))
                return &families[f]->functions[i];
    return NULL;
}

bool mr_sql_aggregate_doc(size_t i, struct mr_function_doc *out)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        if (i < families[f]->count) {
            const struct mr_aggregate *function = &families[f]->functions[i];
            *out = (struct mr_function_doc){function->names, function->signature, "aggregates",
                                            function->doc};
            return true;
        }
        i -= families[f]->count;
    }
    return false;
}

/* What compiling needs besides its result. */
struct compiler {
    struct mr_arena *arena;
    const struct mr_aggregation_ask *ask;
    struct mr_aggregation *out;
    struct mr_ast **groups, **texts, *having;
    struct mr_agg_splitter splitter;
    struct mr_unit unit; /* over the input: keys and inputs */
    struct mr_node **keys;
    struct mr_node **inputs; /* room for every argument and filter */
    int ninputs;
    int *failed;
    struct mr_error *err;
};

enum mr_status mr_agg_fail(struct mr_agg_binding *binding, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return mr_unit_fail(binding->unit, binding->call->position, "%.80s: %s", binding->ast->name,
                        message);
}

enum mr_status mr_agg_cast(struct mr_agg_binding *binding, int arg, const struct mr_type *type)
{
    struct mr_node *node = binding->args[arg];
    return mr_unit_cast(binding->unit, node, type, true, false, node->position,
                        &binding->args[arg]);
}

enum mr_status mr_agg_constant(struct mr_agg_binding *binding, int arg, const char *what,
                               struct mr_value *out)
{
    const struct mr_node *node = binding->args[arg];
    if (node->kind != MR_NODE_LITERAL)
        return mr_agg_fail(binding, "%s must be a constant", what);
    *out = node->literal;
    return MR_OK;
}

static enum mr_status parse_all(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    struct mr_arena *arena = compiler->arena;
    compiler->groups = mr_arena_calloc(arena, (size_t)ask->ngroups + 1, sizeof *compiler->groups);
    compiler->texts = mr_arena_calloc(arena, (size_t)ask->count + 1, sizeof *compiler->texts);
    if (!compiler->groups || !compiler->texts)
        return mr_error_nomem(compiler->err);
    for (int g = 0; g < ask->ngroups; g++) {
        *compiler->failed = g;
        MR_TRY(mr_sql_parse(arena, ask->groups[g], &compiler->groups[g], compiler->err));
        (void)mr_agg_ast_hash(&ask->scope, compiler->groups[g]);
    }
    for (int i = 0; i < ask->count; i++) {
        *compiler->failed = ask->ngroups + i;
        MR_TRY(mr_sql_parse(arena, ask->texts[i], &compiler->texts[i], compiler->err));
    }
    *compiler->failed = ask->ngroups + ask->count;
    return ask->having ? mr_sql_parse(arena, ask->having, &compiler->having, compiler->err) : MR_OK;
}

static enum mr_status split_all(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    struct mr_agg_splitter *splitter = &compiler->splitter;
    *splitter = (struct mr_agg_splitter){.arena = compiler->arena,
                                         .scope = ask->scope,
                                         .ngroups = ask->ngroups,
                                         .groups = compiler->groups,
                                         .group_names = ask->group_names,
                                         .err = compiler->err};
    for (int i = 0; i < ask->count; i++) {
        *compiler->failed = ask->ngroups + i;
        splitter->text = ask->texts[i];
        MR_TRY(mr_agg_split(splitter, compiler->texts[i]));
    }
    *compiler->failed = ask->ngroups + ask->count;
    splitter->nnames = ask->count;
    splitter->names = ask->names;
    splitter->outputs = compiler->texts;
    splitter->text = ask->having;
    return mr_agg_split(splitter, compiler->having);
}

static enum mr_status bind_keys(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    size_t n = (size_t)ask->ngroups + 1;
    compiler->keys = mr_arena_calloc(compiler->arena, n, sizeof *compiler->keys);
    if (!compiler->keys)
        return mr_error_nomem(compiler->err);
    for (int g = 0; g < ask->ngroups; g++) {
        *compiler->failed = g;
        mr_unit_start(&compiler->unit, ask->groups[g]);
        MR_TRY(mr_unit_bind(&compiler->unit, compiler->groups[g], &compiler->keys[g]));
        if (compiler->keys[g]->type->id == MR_TYPE_MAP)
            return mr_unit_fail(&compiler->unit, 0, "a map cannot be grouped by");
    }
    return MR_OK;
}

static int add_input(struct compiler *compiler, struct mr_node *node)
{
    for (int i = 0; i < compiler->ninputs; i++)
        if (compiler->inputs[i] == node)
            return i;
    compiler->inputs[compiler->ninputs] = node;
    return compiler->ninputs++;
}

static int character_of(const char *text, size_t offset)
{
    int character = 0;
    for (size_t i = 0; i < offset && text[i]; i++)
        character += ((unsigned char)text[i] & 0xC0) != 0x80;
    return character;
}

static enum mr_status check_arity(struct mr_agg_binding *binding)
{
    const struct mr_aggregate *function = binding->call->function;
    const struct mr_ast *ast = binding->ast;
    bool star = ast->nargs == 1 && ast->args[0]->kind == MR_AST_STAR;
    bool counts = function == mr_aggregate_find("count");
    if (star && !(counts && !ast->distinct))
        return mr_agg_fail(binding, "* is for count(*)");
    if (!star &&
        (ast->nargs < function->least || (function->most >= 0 && ast->nargs > function->most))) {
        mr_agg_fail(binding, "does not take %d arguments", ast->nargs);
        mr_error_hint(binding->err, "%s", function->signature);
        return MR_CONFIG;
    }
    if (function->most < 0 && ast->nargs > MR_AGG_MAX_ARGS && !star)
        return mr_agg_fail(binding, "takes at most %d arguments", MR_AGG_MAX_ARGS);
    binding->nargs = star ? 0 : ast->nargs;
    return MR_OK;
}

static enum mr_status bind_filter(struct compiler *compiler, struct mr_agg_binding *binding)
{
    struct mr_agg_call *call = binding->call;
    call->filter = -1;
    if (!binding->ast->filter)
        return MR_OK;
    struct mr_node *node;
    MR_TRY(mr_unit_bind(&compiler->unit, binding->ast->filter, &node));
    if (node->type->id != MR_TYPE_BOOL && node->type->id != MR_TYPE_NULL)
        return mr_agg_fail(binding, "the condition behind FILTER is not boolean");
    MR_TRY(mr_unit_cast(&compiler->unit, node, mr_type_of(MR_TYPE_BOOL), true, false,
                        node->position, &node));
    call->filter = add_input(compiler, node);
    return MR_OK;
}

static enum mr_status describe_states(struct mr_agg_call *call, struct mr_arena *arena,
                                      struct mr_error *err)
{
    if (call->distinct)
        return mr_agg_distinct_describe(call, arena, err);
    if (call->kind->describe)
        return call->kind->describe(call, arena, call->states, err);
    return MR_OK; /* fixed size: by fields */
}

static enum mr_status bind_call(struct compiler *compiler, int c)
{
    struct mr_agg_call *call = &compiler->out->calls[c];
    struct mr_node *args[MR_AGG_MAX_ARGS + 1] = {NULL};
    struct mr_ast *ast = compiler->splitter.calls[c];
    struct mr_agg_binding binding = {.unit = &compiler->unit,
                                     .arena = compiler->arena,
                                     .ast = ast,
                                     .args = args,
                                     .call = call,
                                     .err = compiler->err};
    mr_unit_start(&compiler->unit, compiler->splitter.call_texts[c]);
    call->function = mr_aggregate_find(ast->name);
    call->text = mr_arena_strdup(compiler->arena, compiler->splitter.call_texts[c]);
    if (!call->text)
        return mr_error_nomem(compiler->err);
    call->position = character_of(call->text, ast->position);
    call->choice = call->function->choice;
    call->distinct = ast->distinct;
    call->raise = compiler->ask->session.ansi;
    call->nullable = true;
    MR_TRY(check_arity(&binding));
    for (int a = 0; a < binding.nargs; a++)
        MR_TRY(mr_unit_bind(&compiler->unit, ast->args[a], &args[a]));
    if (ast->order)
        MR_TRY(mr_unit_bind(&compiler->unit, ast->order, &binding.order));
    MR_TRY(bind_filter(compiler, &binding));
    MR_TRY(call->function->bind(&binding));
    call->nargs = binding.nargs;
    for (int a = 0; a < call->nargs; a++) {
        call->args[a] = add_input(compiler, args[a]);
        call->arg_types[a] = args[a]->type;
        if (call->distinct && args[a]->type->id == MR_TYPE_MAP)
            return mr_agg_fail(&binding, "maps cannot be compared");
    }
    if (call->nargs == 0)
        call->distinct = false;
    return describe_states(call, compiler->arena, compiler->err);
}

static bool share_state(const struct mr_agg_call *a, const struct mr_agg_call *b)
{
    if (a->kind != b->kind || a->nargs != b->nargs || a->filter != b->filter ||
        a->distinct != b->distinct || a->keep_nulls != b->keep_nulls || a->choice != b->choice ||
        a->raise != b->raise)
        return false;
    for (int i = 0; i < a->nargs; i++)
        if (a->args[i] != b->args[i])
            return false;
    return true;
}

static const struct mr_type *field_type(struct mr_arena *arena, const struct mr_agg_field *field)
{
    return field->id == MR_TYPE_DECIMAL ? mr_type_decimal(arena, MR_DECIMAL_MAX_PRECISION, 0)
                                        : mr_type_of(field->id);
}

/* Numbers the states, and their columns one after the other. */
static enum mr_status number_states(struct compiler *compiler)
{
    struct mr_aggregation *out = compiler->out;
    struct mr_arena *arena = compiler->arena;
    size_t room = (size_t)out->ncalls * 8 + 1; /* the widest state has 6 fields */
    struct mr_field *fields = mr_arena_calloc(arena, room, sizeof *fields);
    out->first = mr_arena_calloc(arena, (size_t)out->ncalls + 1, sizeof *out->first);
    if (!fields || !out->first)
        return mr_error_nomem(compiler->err);
    int n = 0;
    for (int c = 0; c < out->ncalls; c++) {
        struct mr_agg_call *call = &out->calls[c];
        int s = 0;
        while (s < out->nstates && !share_state(&out->calls[out->first[s]], call))
            s++;
        call->state = s;
        if (s < out->nstates)
            continue;
        out->first[out->nstates++] = c;
        bool fixed = !call->distinct && call->kind->size > 0;
        call->nstates = fixed ? call->kind->nfields : call->nstates;
        for (int f = 0; f < call->nstates; f++) {
            if (fixed)
                call->states[f] = field_type(arena, &call->kind->fields[f]);
            const struct mr_type *type = call->states[f];
            char *name = mr_arena_printf(arena, "s%d_%d", s, f);
            if (!type || !name)
                return mr_error_nomem(compiler->err);
            fields[n++] = (struct mr_field){.name = name, .type = type, .nullable = true};
        }
    }
    out->states = mr_schema_new(arena, fields, n);
    return out->states ? MR_OK : mr_error_nomem(compiler->err);
}

static enum mr_status bind_calls(struct compiler *compiler)
{
    struct mr_aggregation *out = compiler->out;
    struct mr_arena *arena = compiler->arena;
    const struct mr_aggregation_ask *ask = compiler->ask;
    out->ncalls = compiler->splitter.ncalls;
    size_t n = (size_t)out->ncalls;
    out->calls = mr_arena_calloc(arena, n + 1, sizeof *out->calls);
    compiler->inputs =
        mr_arena_calloc(arena, n * (MR_AGG_MAX_ARGS + 1) + 1, sizeof *compiler->inputs);
    if (!out->calls || !compiler->inputs)
        return mr_error_nomem(compiler->err);
    for (int c = 0; c < out->ncalls; c++) {
        *compiler->failed = ask->ngroups + ask->count;
        for (int i = 0; i < ask->count; i++)
            if (compiler->splitter.call_texts[c] == ask->texts[i])
                *compiler->failed = ask->ngroups + i;
        MR_TRY(bind_call(compiler, c));
    }
    return number_states(compiler);
}

/* Keys and inputs, once everything over the input is bound. */
static enum mr_status finish_input(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    const char **texts =
        mr_arena_calloc(compiler->arena, (size_t)compiler->ninputs + 1, sizeof *texts);
    if (!texts)
        return mr_error_nomem(compiler->err);
    for (int i = 0; i < compiler->ninputs; i++) {
        texts[i] = "";
        for (int c = compiler->out->ncalls - 1; c >= 0; c--) {
            const struct mr_agg_call *call = &compiler->out->calls[c];
            bool uses = call->filter == i;
            for (int a = 0; a < call->nargs; a++)
                uses |= call->args[a] == i;
            if (uses)
                texts[i] = call->text;
        }
    }
    MR_TRY(mr_unit_projection(&compiler->unit, ask->ngroups, ask->groups, compiler->keys,
                              &compiler->out->keys));
    return mr_unit_projection(&compiler->unit, compiler->ninputs, texts, compiler->inputs,
                              &compiler->out->inputs);
}

static enum mr_status make_results(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    struct mr_aggregation *out = compiler->out;
    size_t n = (size_t)(ask->ngroups + out->ncalls) + 1;
    struct mr_field *fields = mr_arena_calloc(compiler->arena, n, sizeof *fields);
    if (!fields)
        return mr_error_nomem(compiler->err);
    for (int g = 0; g < ask->ngroups; g++)
        fields[g] = (struct mr_field){.name = ask->group_names[g],
                                      .type = compiler->keys[g]->type,
                                      .nullable = compiler->keys[g]->nullable};
    for (int c = 0; c < out->ncalls; c++) {
        char *name = mr_arena_printf(compiler->arena, "#%d", c);
        if (!name)
            return mr_error_nomem(compiler->err);
        fields[ask->ngroups + c] = (struct mr_field){.name = name,
                                                     .type = out->calls[c].type,
                                                     .nullable = out->calls[c].nullable};
    }
    out->results = mr_schema_new(compiler->arena, fields, ask->ngroups + out->ncalls);
    return out->results ? MR_OK : mr_error_nomem(compiler->err);
}

/* What HAVING may name: keys and outputs. */
static enum mr_status having_names(struct compiler *compiler, const struct mr_schema **out)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    size_t n = (size_t)(ask->ngroups + ask->count) + 1;
    struct mr_field *fields = mr_arena_calloc(compiler->arena, n, sizeof *fields);
    if (!fields)
        return mr_error_nomem(compiler->err);
    for (int i = 0; i < ask->ngroups + ask->count; i++)
        fields[i] = (struct mr_field){.name = i < ask->ngroups ? ask->group_names[i]
                                                               : ask->names[i - ask->ngroups],
                                      .type = mr_type_of(MR_TYPE_NULL)};
    *out = mr_schema_new(compiler->arena, fields, ask->ngroups + ask->count);
    return *out ? MR_OK : mr_error_nomem(compiler->err);
}

/* Outputs and HAVING over the results. */
static enum mr_status compile_outputs(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    struct mr_aggregation *out = compiler->out;
    struct mr_sql_scope scope = {.schema = out->results, .told = ask->scope.schema};
    struct mr_unit unit;
    enum mr_status status = MR_OK;
    struct mr_node **roots =
        mr_arena_calloc(compiler->arena, (size_t)ask->count + 1, sizeof *roots);
    if (!roots)
        return mr_error_nomem(compiler->err);
    MR_TRY(mr_unit_init(&unit, compiler->arena, &scope, &out->session, compiler->err));
    for (int i = 0; i < ask->count; i++) {
        *compiler->failed = ask->ngroups + i;
        mr_unit_start(&unit, ask->texts[i]);
        MR_TRY_OUT(mr_unit_bind(&unit, compiler->texts[i], &roots[i]));
    }
    MR_TRY_OUT(mr_unit_projection(&unit, ask->count, ask->texts, roots, &out->outputs));
    if (compiler->having) {
        struct mr_node *root;
        *compiler->failed = ask->ngroups + ask->count;
        mr_unit_start(&unit, ask->having);
        MR_TRY_OUT(having_names(compiler, &scope.told));
        MR_TRY_OUT(mr_unit_bind(&unit, compiler->having, &root));
        MR_TRY_OUT(mr_unit_condition(&unit, ask->having, root, &out->having));
    }
out:
    mr_unit_reset(&unit);
    return status;
}

static enum mr_status make_schema(struct compiler *compiler)
{
    const struct mr_aggregation_ask *ask = compiler->ask;
    struct mr_aggregation *out = compiler->out;
    size_t n = (size_t)(ask->ngroups + ask->count) + 1;
    struct mr_field *fields = mr_arena_calloc(compiler->arena, n, sizeof *fields);
    if (!fields)
        return mr_error_nomem(compiler->err);
    for (int g = 0; g < ask->ngroups; g++)
        fields[g] = out->results->fields[g];
    for (int i = 0; i < ask->count; i++) {
        const struct mr_expr *expr = mr_projection_expr(out->outputs, i);
        fields[ask->ngroups + i] = (struct mr_field){.name = ask->names[i],
                                                     .type = mr_expr_type(expr),
                                                     .nullable = mr_expr_nullable(expr)};
    }
    out->schema = mr_schema_new(compiler->arena, fields, ask->ngroups + ask->count);
    return out->schema ? MR_OK : mr_error_nomem(compiler->err);
}

enum mr_status mr_aggregation_compile(struct mr_arena *arena, const struct mr_aggregation_ask *ask,
                                      struct mr_aggregation **out, int *failed,
                                      struct mr_error *err)
{
    int ignored;
    struct compiler compiler = {.arena = arena,
                                .ask = ask,
                                .failed = failed ? failed : &ignored,
                                .err = err};
    compiler.out = mr_arena_calloc(arena, 1, sizeof *compiler.out);
    if (!compiler.out)
        return mr_error_nomem(err);
    compiler.out->session = ask->session;
    MR_TRY(parse_all(&compiler));
    MR_TRY(split_all(&compiler));
    MR_TRY(mr_unit_init(&compiler.unit, arena, &ask->scope, &compiler.out->session, err));
    enum mr_status status;
    MR_TRY_OUT(bind_keys(&compiler));
    MR_TRY_OUT(bind_calls(&compiler));
    MR_TRY_OUT(finish_input(&compiler));
    MR_TRY_OUT(make_results(&compiler));
    MR_TRY_OUT(compile_outputs(&compiler));
    MR_TRY_OUT(make_schema(&compiler));
    *out = compiler.out;
out:
    mr_unit_reset(&compiler.unit);
    return status;
}

const struct mr_projection *mr_aggregation_keys(const struct mr_aggregation *aggregation)
{
    return aggregation->keys;
}

const struct mr_projection *mr_aggregation_inputs(const struct mr_aggregation *aggregation)
{
    return aggregation->inputs;
}

const struct mr_schema *mr_aggregation_states(const struct mr_aggregation *aggregation)
{
    return aggregation->states;
}

const struct mr_schema *mr_aggregation_results(const struct mr_aggregation *aggregation)
{
    return aggregation->results;
}

const struct mr_projection *mr_aggregation_outputs(const struct mr_aggregation *aggregation)
{
    return aggregation->outputs;
}

const struct mr_expr *mr_aggregation_having(const struct mr_aggregation *aggregation)
{
    return aggregation->having;
}

const struct mr_schema *mr_aggregation_schema(const struct mr_aggregation *aggregation)
{
    return aggregation->schema;
}
