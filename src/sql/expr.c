/*
 * expr.c - compilation as the rest of the program sees it: one expression, or a projection of many.
 */
#include "sql/expr.h"

#include "base/map.h"
#include "base/text.h"
#include "sql/aggregate.h"
#include "sql/coerce.h"
#include "sql/lexer.h"
#include "sql/query.h"
#include "sql/unit.h"
#include "sql/window.h"

static const struct mr_schema no_columns = {0};
static const struct mr_sql_scope empty_scope = {.schema = &no_columns};

/* Parses and binds one text into the unit. */
static enum mr_status compile_into(struct mr_unit *unit, const char *text, struct mr_node **out)
{
    struct mr_ast *ast;
    MR_TRY(mr_sql_parse(unit->arena, text, &ast, unit->err));
    mr_unit_start(unit, text);
    return mr_unit_bind(unit, ast, out);
}

/* The columns that the nodes in use read (mr_unit_share has just counted uses). */
static enum mr_status find_inputs(struct mr_unit *unit, struct mr_expr *expr)
{
    for (int pass = 0; pass < 2; pass++) {
        int n = 0;
        for (int i = 0; i < unit->nnodes; i++) {
            const struct mr_node *node = unit->nodes[i];
            if (node->kind != MR_NODE_COLUMN || mr_node_impl(node)->uses == 0)
                continue;
            if (pass == 1)
                expr->inputs[n] = node->column;
            n++;
        }
        expr->ninputs = n;
        if (pass == 0)
            expr->inputs = mr_arena_calloc(unit->arena, (size_t)n + 1, sizeof(*expr->inputs));
        if (expr->inputs == NULL)
            return mr_error_nomem(unit->err);
    }
    return MR_OK;
}

/* A constant that was not folded because its evaluation fails. */
static bool is_failing(const struct mr_node *node)
{
    const struct mr_impl *impl = node->impl;
    if ((node->kind != MR_NODE_CALL && node->kind != MR_NODE_CAST) || !impl->constant ||
        !impl->fallible || (impl->flags & MR_FN_LAZY) || mr_type_is_nested(node->type))
        return false;
    for (int i = 0; i < node->nargs; i++) {
        if (node->args[i]->kind != MR_NODE_LITERAL)
            return false;
    }
    return true;
}

/* Spark folds nothing that fails below CASE and coalesce; AND and OR are no such conditions. */
static bool is_conditional(const struct mr_node *node)
{
    if (node->kind == MR_NODE_CALL && (!strcmp(node->name, "AND") || !strcmp(node->name, "OR")))
        return false;
    return node->kind == MR_NODE_CASE || (mr_node_impl(node)->flags & MR_FN_LAZY);
}

/* The failing constants that no condition guards. Users of a node have higher numbers than it. */
static enum mr_status find_failing(struct mr_unit *unit, struct mr_expr *expr)
{
    bool *certain = mr_arena_calloc(unit->arena, (size_t)unit->nnodes + 1, sizeof(*certain));
    expr->failing =
        mr_arena_calloc(unit->arena, (size_t)unit->nnodes + 1, sizeof(struct mr_node *));
    if (certain == NULL || expr->failing == NULL)
        return mr_error_nomem(unit->err);
    certain[mr_node_impl(expr->root)->id] = true;
    for (int i = unit->nnodes - 1; i >= 0; i--) {
        struct mr_node *node = unit->nodes[i];
        if (!certain[i])
            continue;
        if (is_failing(node))
            expr->failing[expr->nfailing++] = node;
        for (int j = 0; j < node->nargs; j++)
            certain[mr_node_impl(node->args[j])->id] |= !is_conditional(node);
    }
    return MR_OK;
}

static enum mr_status finish_expr(struct mr_unit *unit, const char *text, struct mr_node *root,
                                  struct mr_expr **out)
{
    struct mr_expr *expr = mr_arena_calloc(unit->arena, 1, sizeof(*expr));
    char *copy = mr_arena_strdup(unit->arena, text);
    if (expr == NULL || copy == NULL)
        return mr_error_nomem(unit->err);
    *expr = (struct mr_expr){.text = copy, .root = root};
    expr->nslots = mr_unit_share(unit, &root, 1);
    *out = expr;
    MR_TRY(find_failing(unit, expr));
    return find_inputs(unit, expr);
}

static enum mr_status to_condition(struct mr_unit *unit, struct mr_node **root)
{
    const struct mr_type *type = (*root)->type;
    if (type->id == MR_TYPE_BOOL)
        return MR_OK;
    if (type->id == MR_TYPE_NULL)
        return mr_unit_cast(unit, *root, mr_type_of(MR_TYPE_BOOL), true, false, 0, root);
    char text[96];
    return mr_unit_fail(unit, 0, "a condition must be boolean, this is %s",
                        mr_type_text(type, text, sizeof(text)));
}

static enum mr_status compile(struct mr_arena *arena, const char *text,
                              const struct mr_sql_scope *scope,
                              const struct mr_sql_session *session, bool condition,
                              struct mr_expr **out, struct mr_error *err)
{
    struct mr_unit unit;
    struct mr_node *root;
    enum mr_status status;
    MR_TRY(mr_unit_init(&unit, arena, scope ? scope : &empty_scope, session, err));
    MR_TRY_OUT(compile_into(&unit, text, &root));
    if (condition)
        MR_TRY_OUT(to_condition(&unit, &root));
    status = finish_expr(&unit, text, root, out);
out:
    mr_unit_reset(&unit);
    return status;
}

enum mr_status mr_expr_compile(struct mr_arena *arena, const char *text,
                               const struct mr_sql_scope *scope,
                               const struct mr_sql_session *session, struct mr_expr **out,
                               struct mr_error *err)
{
    return compile(arena, text, scope, session, false, out, err);
}

enum mr_status mr_expr_compile_condition(struct mr_arena *arena, const char *text,
                                         const struct mr_sql_scope *scope,
                                         const struct mr_sql_session *session, struct mr_expr **out,
                                         struct mr_error *err)
{
    return compile(arena, text, scope, session, true, out, err);
}

enum mr_status mr_query_check_ast(struct mr_query_check *check, struct mr_ast *ast,
                                  const struct mr_sql_scope *scope, struct mr_field *result,
                                  struct mr_error *err)
{
    struct mr_unit unit;
    struct mr_node *root;
    enum mr_status status;
    MR_TRY(mr_unit_init(&unit, check->arena, scope, check->session, err));
    unit.text = check->text;
    unit.last_offset = check->last_offset;
    unit.last_character = check->last_character;
    status = mr_unit_bind(&unit, ast, &root);
    check->last_offset = unit.last_offset;
    check->last_character = unit.last_character;
    if (status == MR_OK)
        *result = (struct mr_field){.type = root->type, .nullable = root->nullable};
    else if (status == MR_CONFIG)
        mr_query_relocate(check->text, err);
    mr_unit_reset(&unit);
    return status;
}

enum mr_status mr_expr_column(struct mr_arena *arena, const struct mr_schema *schema, int index,
                              struct mr_expr **out, struct mr_error *err)
{
    static const struct mr_sql_session session = {.ansi = true};
    struct mr_sql_scope scope = {.schema = schema};
    const struct mr_field *field = &schema->fields[index];
    struct mr_node node = {.kind = MR_NODE_COLUMN,
                           .type = field->type,
                           .nullable = field->nullable,
                           .column = index,
                           .name = field->name};
    struct mr_impl impl = {0};
    struct mr_unit unit;
    struct mr_node *root;
    enum mr_status status;
    MR_TRY(mr_unit_init(&unit, arena, &scope, &session, err));
    MR_TRY_OUT(mr_unit_node(&unit, &node, &impl, &root));
    status = finish_expr(&unit, field->name, root, out);
out:
    mr_unit_reset(&unit);
    return status;
}

/*
 * Copies a graph into a unit, children first; `made` holds the copies by the numbers of the originals. Columns are
 * renumbered by `shift`.
 */
static enum mr_status import_node(struct mr_unit *unit, const struct mr_node *node, int shift,
                                  struct mr_node **made, struct mr_node **out)
{
    struct mr_node copy = *node;
    struct mr_impl impl = *mr_node_impl(node);
    struct mr_node **known = &made[impl.id];
    if (*known == NULL) {
        copy.args = mr_arena_calloc(unit->arena, (size_t)node->nargs + 1, sizeof(*copy.args));
        if (copy.args == NULL)
            return mr_error_nomem(unit->err);
        for (int i = 0; i < node->nargs; i++)
            MR_TRY(import_node(unit, node->args[i], shift, made, &copy.args[i]));
        copy.column += node->kind == MR_NODE_COLUMN ? shift : 0;
        MR_TRY(mr_unit_node(unit, &copy, &impl, known));
    }
    *out = *known;
    return MR_OK;
}

enum mr_status mr_expr_cast(struct mr_arena *arena, struct mr_expr *input,
                            const struct mr_type *type, const struct mr_sql_session *session,
                            struct mr_expr **out, struct mr_error *err)
{
    struct mr_unit unit;
    struct mr_node *root;
    enum mr_status status;
    const struct mr_type *own = mr_type_copy(arena, type);
    size_t nodes = (size_t)mr_node_impl(input->root)->id + 1;
    struct mr_node **made = mr_arena_calloc(arena, nodes, sizeof(*made));
    if (own == NULL || made == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_unit_init(&unit, arena, &empty_scope, session, err));
    unit.text = input->text;
    MR_TRY_OUT(import_node(&unit, input->root, 0, made, &root));
    MR_TRY_OUT(mr_unit_cast(&unit, root, own, false, false, 0, &root));
    status = finish_expr(&unit, input->text, root, out);
out:
    mr_unit_reset(&unit);
    return status;
}

enum mr_status mr_expr_extract(struct mr_arena *arena, const struct mr_node *node, const char *text,
                               int shift, const struct mr_sql_session *session,
                               struct mr_expr **out, struct mr_error *err)
{
    struct mr_unit unit;
    struct mr_node *root;
    enum mr_status status;
    struct mr_node **made =
        mr_arena_calloc(arena, (size_t)mr_node_impl(node)->id + 1, sizeof(*made));
    if (made == NULL)
        return mr_error_nomem(err);
    MR_TRY(mr_unit_init(&unit, arena, &empty_scope, session, err));
    unit.text = text;
    MR_TRY_OUT(import_node(&unit, node, shift, made, &root));
    status = finish_expr(&unit, text, root, out);
out:
    mr_unit_reset(&unit);
    return status;
}

const struct mr_type *mr_expr_type(const struct mr_expr *expr)
{
    return expr->root->type;
}

bool mr_expr_nullable(const struct mr_expr *expr)
{
    return expr->root->nullable;
}

const struct mr_node *mr_expr_root(const struct mr_expr *expr)
{
    return expr->root;
}

static void mark_named(struct mr_ast *ast, const struct mr_schema *schema, bool *named)
{
    struct mr_ast *const more[] = {ast->operand, ast->filter, ast->order};
    if (ast->split) /* seen: trees share nodes */
        return;
    ast->split = true;
    if (ast->kind == MR_AST_NAME || ast->kind == MR_AST_FIELD) { /* or frame.column */
        int column = mr_schema_find(schema, ast->name);
        if (column >= 0)
            named[column] = true;
    }
    for (int i = 0; i < ast->nargs; i++)
        mark_named(ast->args[i], schema, named);
    for (int i = 0; i < 3; i++)
        if (more[i] != NULL)
            mark_named(more[i], schema, named);
}

enum mr_status mr_expr_named(struct mr_arena *arena, const char *text,
                             const struct mr_schema *schema, bool *named, struct mr_error *err)
{
    struct mr_ast *ast;
    MR_TRY(mr_sql_parse(arena, text, &ast, err));
    mark_named(ast, schema, named);
    return MR_OK;
}

int mr_expr_as_column(const struct mr_expr *expr)
{
    return expr->root->kind == MR_NODE_COLUMN ? expr->root->column : -1;
}

void mr_expr_uses(const struct mr_expr *expr, bool *used)
{
    for (int i = 0; i < expr->ninputs; i++)
        used[expr->inputs[i]] = true;
}

int mr_projection_count(const struct mr_projection *projection)
{
    return projection->count;
}

const struct mr_expr *mr_projection_expr(const struct mr_projection *projection, int i)
{
    return &projection->exprs[i];
}

static enum mr_status compile_all(struct mr_unit *unit, int count, const char *const *names,
                                  const char *const *texts, bool sequential, struct mr_node **roots,
                                  int *failed)
{
    for (int i = 0; i < count; i++) {
        *failed = i;
        MR_TRY(compile_into(unit, texts[i], &roots[i]));
        if (sequential)
            unit->names[unit->nnames++] = (struct mr_unit_name){names[i], roots[i]};
    }
    return MR_OK;
}

enum mr_status mr_unit_projection(struct mr_unit *unit, int count, const char *const *texts,
                                  struct mr_node *const *roots, struct mr_projection **out)
{
    struct mr_projection *projection = mr_arena_calloc(unit->arena, 1, sizeof(*projection));
    if (projection)
        projection->exprs =
            mr_arena_calloc(unit->arena, (size_t)count + 1, sizeof(*projection->exprs));
    if (!projection || !projection->exprs)
        return mr_error_nomem(unit->err);
    projection->count = count;
    for (int i = 0; i < count; i++) {
        struct mr_expr *expr;
        MR_TRY(finish_expr(unit, texts[i], roots[i], &expr));
        projection->exprs[i] = *expr;
    }
    projection->nslots = mr_unit_share(unit, roots, count);
    for (int i = 0; i < count; i++)
        projection->exprs[i].nslots = projection->nslots;
    *out = projection;
    return MR_OK;
}

enum mr_status mr_unit_condition(struct mr_unit *unit, const char *text, struct mr_node *root,
                                 struct mr_expr **out)
{
    MR_TRY(to_condition(unit, &root));
    return finish_expr(unit, text, root, out);
}

void mr_unit_start(struct mr_unit *unit, const char *text)
{
    unit->text = text;
    unit->last_offset = 0;
    unit->last_character = 0;
}

enum mr_status mr_projection_compile(struct mr_arena *arena, const struct mr_sql_scope *scope,
                                     const struct mr_sql_session *session, int count,
                                     const char *const *names, const char *const *texts,
                                     bool sequential, struct mr_projection **out, int *failed,
                                     struct mr_error *err)
{
    struct mr_unit unit;
    enum mr_status status;
    int ignored;
    failed = failed ? failed : &ignored;
    struct mr_node **roots = mr_arena_calloc(arena, (size_t)count + 1, sizeof(*roots));
    MR_TRY(mr_unit_init(&unit, arena, scope ? scope : &empty_scope, session, err));
    unit.names = mr_arena_calloc(arena, (size_t)count + 1, sizeof(*unit.names));
    if (!roots || !unit.names) {
        status = mr_error_nomem(err);
        goto out;
    }
    MR_TRY_OUT(compile_all(&unit, count, names, texts, sequential, roots, failed));
    status = mr_unit_projection(&unit, count, texts, roots, out);
out:
    mr_unit_reset(&unit);
    return status;
}

struct checker {
    struct mr_arena *arena;
    const char *text;
    struct mr_map seen;
    struct mr_node visited; /* marks trees that were seen */
    struct mr_error *err;
};

static enum mr_status check_call(struct checker *checker, const struct mr_ast *ast)
{
    if (ast->operator_call)
        return MR_OK;
    const struct mr_function *function = mr_function_find(ast->name, NULL);
    if (function == NULL) {
        struct mr_function_refusal refusal;
        mr_function_refuse(ast->name, &refusal);
        mr_lexer_fail(checker->text, ast->position, checker->err, "%s", refusal.message);
        if (refusal.hint[0])
            mr_error_hint(checker->err, "%s", refusal.hint);
        return MR_CONFIG;
    }
    const char *signature = function->signature;
    for (; function != NULL; function = mr_function_find(ast->name, function)) {
        int least, most;
        mr_function_arity(function, &least, &most);
        if (ast->nargs >= least && (most < 0 || ast->nargs <= most))
            return MR_OK;
    }
    mr_lexer_fail(checker->text, ast->position, checker->err, "%.80s does not take %d arguments",
                  ast->name, ast->nargs);
    mr_error_hint(checker->err, "%s", signature ? signature : "");
    return MR_CONFIG;
}

/* A name that is a function's too (year, current_date) may be a column: that wins. */
static enum mr_status check_name(struct checker *checker, const char *name)
{
    struct mr_slice key = mr_slice_of(name);
    if (mr_map_get(&checker->seen, key) != NULL)
        return MR_OK;
    return mr_map_put(&checker->seen, key, checker, checker->err);
}

static enum mr_status check(struct checker *checker, struct mr_ast *ast)
{
    if (ast->bound != NULL)
        return MR_OK;
    ast->bound = &checker->visited;
    if (ast->kind == MR_AST_NAME)
        return check_name(checker, ast->name);
    if (ast->kind == MR_AST_FIELD) /* frame.column */
        MR_TRY(check_name(checker, ast->name));
    if (ast->query != NULL)
        return mr_lexer_fail(checker->text, ast->position, checker->err,
                             "a sub-query stands only in the query of a sql step");
    if (ast->kind == MR_AST_CALL)
        MR_TRY(check_call(checker, ast));
    if (ast->operand != NULL)
        MR_TRY(check(checker, ast->operand));
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(check(checker, ast->args[i]));
    return MR_OK;
}

enum mr_status mr_expr_check_syntax(struct mr_arena *arena, const char *text, const char ***columns,
                                    int *ncolumns, struct mr_error *err)
{
    struct mr_ast *ast;
    struct checker checker = {.arena = arena, .text = text, .err = err};
    MR_TRY(mr_sql_parse(arena, text, &ast, err));
    mr_map_init(&checker.seen, true);
    enum mr_status status = check(&checker, ast);
    if (status == MR_OK && columns != NULL) {
        const char **names = mr_arena_calloc(arena, checker.seen.count + 1, sizeof(*names));
        status = names ? MR_OK : mr_error_nomem(err);
        for (size_t i = 0; i < checker.seen.count && status == MR_OK; i++) {
            names[i] = mr_arena_strdup(arena, checker.seen.entries[i].key);
            if (names[i] == NULL)
                status = mr_error_nomem(err);
        }
        *columns = names;
    }
    if (ncolumns != NULL)
        *ncolumns = (int)checker.seen.count;
    mr_map_reset(&checker.seen);
    return status;
}

/* Behind the scalar functions come the aggregates, then the window functions. */
static bool other_function_doc(size_t i, struct mr_function_doc *out)
{
    size_t aggregates = 0;
    if (mr_sql_aggregate_doc(i, out))
        return true;
    while (mr_sql_aggregate_doc(aggregates, out))
        aggregates++;
    return mr_sql_window_doc(i - aggregates, out);
}

bool mr_sql_function_doc(size_t i, struct mr_function_doc *out)
{
    for (size_t row = 0;; row++) {
        const struct mr_function *function = mr_function_at(row);
        if (function == NULL)
            return other_function_doc(i, out);
        if (function->signature == NULL || i-- > 0)
            continue;
        *out = (struct mr_function_doc){function->names, function->signature, function->family,
                                        function->doc};
        return true;
    }
}
