/*
 * bind.c - from the parsed tree to typed nodes: names to columns, calls to rows of the function table, casts where
 * Spark puts them.
 *
 * Recursion follows the parsed tree, whose depth the parser has limited. A tree that is referred to twice (x LIKE ANY
 * (..), CASE x WHEN) is bound once and remembered, so that nesting such forms stays linear.
 */
#include "base/map.h"
#include "base/text.h"
#include "sql/aggregate_call.h"
#include "sql/cast.h"
#include "sql/coerce.h"
#include "sql/lexer.h"
#include "sql/text_of.h"
#include "sql/unit.h"

#include <stdio.h>

/* Kept out of the frames of the recursion, which must stay small. */
#define MR_NOINLINE __attribute__((noinline))

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

/* Counts from the last place asked for: neighbours in the tree are neighbours in the text. */
static int character_of(struct mr_unit *unit, size_t offset)
{
    for (; unit->last_offset < offset; unit->last_offset++)
        unit->last_character += starts_character(unit->text[unit->last_offset]);
    for (; unit->last_offset > offset; unit->last_offset--)
        unit->last_character -= starts_character(unit->text[unit->last_offset - 1]);
    return unit->last_character;
}

static enum mr_status bind(struct mr_unit *unit, struct mr_ast *ast, struct mr_node **out);

static enum mr_status column_node(struct mr_unit *unit, int index, int position,
                                  struct mr_node **out)
{
    const struct mr_field *field = &unit->scope->schema->fields[index];
    struct mr_node node = {.kind = MR_NODE_COLUMN,
                           .type = field->type,
                           .nullable = field->nullable,
                           .column = index,
                           .name = field->name,
                           .position = position};
    struct mr_impl impl = {0};
    return mr_unit_node(unit, &node, &impl, out);
}

static MR_NOINLINE enum mr_status unknown_column(struct mr_unit *unit, const char *name,
                                                 int position)
{
    struct mr_error inner;
    const struct mr_sql_scope *scope = unit->scope;
    mr_schema_unknown_column(scope->told ? scope->told : scope->schema, name, &inner);
    mr_unit_fail(unit, position, "%s", inner.message);
    mr_error_hint(unit->err, "%s", inner.hint);
    return MR_CONFIG;
}

static enum mr_status bind_name(struct mr_unit *unit, const char *name, int position,
                                struct mr_node **out)
{
    for (int i = unit->nnames - 1; i >= 0; i--) {
        if (mr_text_equal_nocase(unit->names[i].name, name)) {
            *out = unit->names[i].node;
            return MR_OK;
        }
    }
    int index = mr_schema_find(unit->scope->schema, name);
    if (index >= 0)
        return column_node(unit, index, position, out);
    if (index == -2)
        return mr_unit_fail(unit, position, "the name %.80s means more than one column", name);
    static const char *const bare[] = {"current_date", "current_timestamp", "current_timezone",
                                       "localtimestamp", "now"};
    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
        if (mr_text_equal_nocase(name, bare[i]) && mr_function_find(name, NULL)) {
            struct mr_ast call = {.kind = MR_AST_CALL, .name = bare[i], .depth = 1};
            return bind(unit, &call, out);
        }
    }
    return unknown_column(unit, name, position);
}

/* frame.column, where frames have names. *out stays NULL when `qualifier` names no frame. */
static MR_NOINLINE enum mr_status bind_qualified(struct mr_unit *unit, const char *qualifier,
                                                 const char *name, int position,
                                                 struct mr_node **out)
{
    const struct mr_sql_scope *scope = unit->scope;
    bool known = false;
    int found = -1;
    *out = NULL;
    for (int i = 0; scope->qualifiers && i < scope->schema->nfields; i++) {
        if (!scope->qualifiers[i] || !mr_text_equal_nocase(scope->qualifiers[i], qualifier))
            continue;
        known = true;
        if (!mr_text_equal_nocase(scope->schema->fields[i].name, name))
            continue;
        if (found >= 0)
            return mr_unit_fail(unit, position, "%.80s.%.80s means more than one column", qualifier,
                                name);
        found = i;
    }
    if (!known)
        return MR_OK;
    if (found < 0)
        return mr_unit_fail(unit, position, "the frame %.80s has no column %.80s", qualifier, name);
    return column_node(unit, found, position, out);
}

/* With ANSI off a key that does not cast would be NULL, which keys cannot be. */
static bool null_keys(const struct mr_unit *unit, const struct mr_type *from,
                      const struct mr_type *to, bool try_cast)
{
    return !unit->session->ansi && !try_cast && from->id == MR_TYPE_MAP && to->id == MR_TYPE_MAP &&
           mr_cast_can_fail(from->fields[0].type, to->fields[0].type);
}

enum mr_status mr_unit_cast(struct mr_unit *unit, struct mr_node *input, const struct mr_type *type,
                            bool implicit, bool try_cast, int position, struct mr_node **out)
{
    *out = input;
    if (mr_type_equal(input->type, type))
        return MR_OK;
    bool legacy = !implicit && !try_cast && !unit->session->ansi;
    if ((null_keys(unit, input->type, type, try_cast) || !mr_can_cast(input->type, type)) &&
        !(legacy && mr_can_cast_legacy(input->type, type))) {
        char from[128], to[128];
        return mr_unit_fail(unit, position, "cannot cast %s to %s",
                            mr_type_text(input->type, from, sizeof(from)),
                            mr_type_text(type, to, sizeof(to)));
    }
    if (input->kind == MR_NODE_LITERAL && input->literal.is_null) {
        struct mr_value null = {.type = type, .is_null = true};
        return mr_unit_literal(unit, &null, position, out);
    }
    struct mr_value special;
    if (input->kind == MR_NODE_LITERAL && mr_type_is_string(input->type) &&
        mr_special_time(unit->session, input->literal.u.bytes, type, &special))
        return mr_unit_literal(unit, &special, position, out);
    bool fails = mr_cast_can_fail(input->type, type);
    bool raises = fails && unit->session->ansi && !try_cast;
    struct mr_node node = {.kind = MR_NODE_CAST,
                           .type = type,
                           .nullable = input->nullable || (fails && !raises) ||
                                       mr_cast_may_null(input->type, type),
                           .implicit = implicit,
                           .try_cast = try_cast,
                           .column = -1,
                           .name = "CAST",
                           .nargs = 1,
                           .args = &input,
                           .position = position};
    bool dates =
        fails && !try_cast && mr_type_is_datetime(input->type) && mr_type_is_datetime(type);
    struct mr_impl impl = {.fallible = raises || dates,
                           .flags = fails ? 0 : MR_FN_TOTAL,
                           .kernel = mr_cast_kernel(input->type, type)};
    if (impl.kernel == NULL)
        return mr_unit_fail(unit, position, "this cast is not built");
    return mr_unit_node(unit, &node, &impl, out);
}

enum mr_status mr_bind_fail(struct mr_binding *binding, int arg, const char *format, ...)
{
    struct mr_unit *unit = binding->binder;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    int position =
        arg >= 0 && arg < binding->nargs ? binding->args[arg]->position : binding->position;
    const char *names = binding->function->names;
    return mr_unit_fail(unit, position, "%.*s: %s", (int)strcspn(names, " "), names, message);
}

enum mr_status mr_bind_cast(struct mr_binding *binding, int arg, const struct mr_type *type)
{
    struct mr_unit *unit = binding->binder;
    struct mr_node *input = binding->args[arg];
    if (type == NULL)
        return mr_error_nomem(binding->err);
    return mr_unit_cast(unit, input, type, true, false, input->position, &binding->args[arg]);
}

enum mr_status mr_bind_null(struct mr_binding *binding, const struct mr_type *type,
                            struct mr_node **out)
{
    struct mr_value null = {.type = type, .is_null = true};
    return mr_unit_literal(binding->binder, &null, binding->position, out);
}

bool mr_bind_constant(const struct mr_binding *binding, int arg, struct mr_value *value)
{
    if (arg >= binding->nargs || binding->args[arg]->kind != MR_NODE_LITERAL)
        return false;
    *value = binding->args[arg]->literal;
    return true;
}

static enum mr_type_id letter_type(char letter)
{
    switch (letter) {
    case 'z':
        return MR_TYPE_BOOL;
    case 'i':
        return MR_TYPE_INT32;
    case 'l':
        return MR_TYPE_INT64;
    case 'd':
        return MR_TYPE_FLOAT64;
    case 's':
        return MR_TYPE_STRING;
    case 'b':
        return MR_TYPE_BINARY;
    case 'D':
        return MR_TYPE_DATE;
    case 'T':
        return MR_TYPE_TIMESTAMP;
    case 'V':
        return MR_TYPE_INTERVAL;
    default:
        return MR_TYPE_NULL;
    }
}

static bool class_takes(char letter, const struct mr_type *type)
{
    switch (letter) {
    case 'a':
    case '=':
        return true;
    case 'n':
        return mr_type_is_numeric(type);
    case 'I':
        return mr_type_is_integer(type);
    case 'x':
        return mr_type_is_string(type) || type->id == MR_TYPE_BINARY;
    case 't':
        return mr_type_is_datetime(type);
    case 'A':
        return type->id == MR_TYPE_LIST;
    case 'M':
        return type->id == MR_TYPE_MAP;
    case 'R':
        return type->id == MR_TYPE_STRUCT;
    default:
        if (letter == 's')
            return mr_type_is_string(type);
        return letter_type(letter) == type->id;
    }
}

/* What a class casts to when the argument is not in it; NULL type id: nothing. */
static enum mr_type_id class_fallback(char letter)
{
    switch (letter) {
    case 'n':
        return MR_TYPE_FLOAT64;
    case 'I':
        return MR_TYPE_INT64;
    case 'x':
        return MR_TYPE_STRING;
    case 't':
        return MR_TYPE_TIMESTAMP;
    default:
        return letter_type(letter);
    }
}

/* Is the letter of argument i followed by an exclamation mark? */
static bool is_exact(const char *args, int i)
{
    for (const char *at = args; *at; at++) {
        if (*at == '?' || *at == '!' || *at == '*')
            continue;
        if (i-- == 0)
            return at[1] == '!';
    }
    return false;
}

/* The letter of argument i, '\0' when there are too many. */
static char letter_of(const char *args, int i)
{
    char last = '\0';
    for (const char *at = args; *at; at++) {
        if (*at == '?' || *at == '!')
            continue;
        if (*at == '*')
            return last;
        last = *at;
        if (i-- == 0)
            return *at;
    }
    return '\0';
}

void mr_function_arity(const struct mr_function *function, int *least, int *most)
{
    int count = 0, required = -1;
    *most = 0;
    for (const char *at = function->args; *at; at++) {
        if (*at == '?')
            required = count;
        else if (*at == '*')
            *most = -1;
        else if (*at != '!')
            count++;
    }
    if (*most == -1)
        *least = required >= 0 ? required : count - 1;
    else {
        *least = required >= 0 ? required : count;
        *most = count;
    }
}

/* How well a row takes the arguments: 2 as they are, 1 with casts, 0 not at all. */
static int match_row(const struct mr_unit *unit, const struct mr_function *function, int nargs,
                     struct mr_node *const *args)
{
    int least, most, score = 2;
    mr_function_arity(function, &least, &most);
    if (nargs < least || (most >= 0 && nargs > most))
        return 0;
    for (int i = 0; i < nargs; i++) {
        char letter = letter_of(function->args, i);
        if (class_takes(letter, args[i]->type))
            continue;
        enum mr_type_id id = class_fallback(letter);
        bool null = args[i]->type->id == MR_TYPE_NULL;
        if (!null && is_exact(function->args, i))
            return 0;
        /* Under ANSI NOT and AND take text; if and WHEN do not. */
        if (id == MR_TYPE_BOOL && unit->session->ansi && mr_type_is_string(args[i]->type)) {
            score = 1;
            continue;
        }
        if (!null && (id == MR_TYPE_NULL || !mr_can_cast_implicitly(args[i]->type, mr_type_of(id))))
            return 0;
        score = 1;
    }
    return score;
}

static MR_NOINLINE enum mr_status common_arguments(struct mr_binding *binding,
                                                   const struct mr_type **common)
{
    *common = NULL;
    for (int i = 0; i < binding->nargs; i++) {
        if (letter_of(binding->function->args, i) != '=')
            continue;
        const struct mr_type *type = binding->args[i]->type;
        const struct mr_type *wider =
            *common ? mr_common_type(binding->arena, binding->session, *common, type) : type;
        if (wider == NULL) {
            char a[128], b[128];
            return mr_bind_fail(binding, i, "no common type of %s and %s",
                                mr_type_text(*common, a, sizeof(a)),
                                mr_type_text(type, b, sizeof(b)));
        }
        *common = wider;
    }
    for (int i = 0; i < binding->nargs && *common; i++) {
        if (letter_of(binding->function->args, i) == '=')
            MR_TRY(mr_bind_cast(binding, i, *common));
    }
    return MR_OK;
}

/* Casts the arguments as the row's signature says, and works out the result type it names. */
static enum mr_status apply_signature(struct mr_binding *binding)
{
    const struct mr_type *common;
    MR_TRY(common_arguments(binding, &common));
    for (int i = 0; i < binding->nargs; i++) {
        char letter = letter_of(binding->function->args, i);
        const struct mr_type *type = binding->args[i]->type;
        enum mr_type_id id = class_fallback(letter);
        if (class_takes(letter, type) && !(letter == 's' && type->id == MR_TYPE_JSON))
            continue;
        if (id != MR_TYPE_NULL)
            MR_TRY(mr_bind_cast(binding, i, mr_type_of(id)));
    }
    char result = binding->function->result[0];
    if (result >= '0' && result <= '9')
        binding->type = binding->args[result - '0']->type;
    else if (result == '=')
        binding->type = common;
    else if (result != '!')
        binding->type = mr_type_of(letter_type(result));
    return MR_OK;
}

static MR_NOINLINE enum mr_status unknown_function(struct mr_unit *unit, const char *name,
                                                   int position)
{
    struct mr_function_refusal refusal;
    mr_function_refuse(name, &refusal);
    mr_unit_fail(unit, position, "%s", refusal.message);
    if (refusal.hint[0])
        mr_error_hint(unit->err, "%s", refusal.hint);
    return MR_CONFIG;
}

static MR_NOINLINE enum mr_status no_match(struct mr_unit *unit, const char *name, int nargs,
                                           struct mr_node *const *args, int position)
{
    const struct mr_function *function = mr_function_find(name, NULL);
    char types[256] = "";
    size_t used = 0;
    for (int i = 0; i < nargs && used < sizeof(types) - 1; i++) {
        char text[96];
        used += (size_t)snprintf(types + used, sizeof(types) - used, "%s%s", i ? ", " : "",
                                 mr_type_text(args[i]->type, text, sizeof(text)));
    }
    mr_unit_fail(unit, position, "%.80s does not take (%.250s)", name, types);
    if (function->signature)
        mr_error_hint(unit->err, "%s", function->signature);
    return MR_CONFIG;
}

/* The row of the table that takes these arguments best; NULL when none does. */
static const struct mr_function *choose_row(const struct mr_unit *unit, const char *name, int nargs,
                                            struct mr_node *const *args)
{
    const struct mr_function *best = NULL;
    int best_score = 0;
    const struct mr_function *row = NULL;
    while ((row = mr_function_find(name, row)) != NULL) {
        int score = match_row(unit, row, nargs, args);
        if (score > best_score) {
            best = row;
            best_score = score;
        }
    }
    return best;
}

static bool result_nullable(const struct mr_binding *binding)
{
    unsigned flags = binding->flags;
    if (flags & MR_FN_NEVER_NULL)
        return false;
    if ((flags & (MR_FN_MAY_NULL | MR_FN_TRY)) ||
        (!(flags & MR_FN_TOTAL) && !binding->session->ansi))
        return true;
    for (int i = 0; i < binding->nargs; i++) {
        if (binding->args[i]->nullable)
            return true;
    }
    return false;
}

static enum mr_status make_call(struct mr_unit *unit, struct mr_binding *binding, int position,
                                struct mr_node **out)
{
    unsigned flags = binding->flags;
    struct mr_node node = {.kind = MR_NODE_CALL,
                           .type = binding->type,
                           .nullable = binding->nullable,
                           .column = -1,
                           .name = binding->function->names,
                           .nargs = binding->nargs,
                           .args = binding->args,
                           .position = position};
    size_t first = strcspn(node.name, " ");
    if (node.name[first] != '\0' && !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", node.name[0])) {
        node.name = mr_arena_strndup(unit->arena, node.name, first);
        if (node.name == NULL)
            return mr_error_nomem(unit->err);
    }
    struct mr_impl impl = {.fallible = !(flags & (MR_FN_TOTAL | MR_FN_TRY)),
                           .volatile_ = (flags & MR_FN_VOLATILE) != 0,
                           .flags = flags | (flags & MR_FN_LAZY ? MR_FN_NULLS : 0),
                           .function = binding->function,
                           .kernel = binding->kernel,
                           .data = binding->data};
    return mr_unit_node(unit, &node, &impl, out);
}

/* Binds a call of the table over bound arguments. */
static enum mr_status bind_call_over(struct mr_unit *unit, const char *name, int nargs,
                                     struct mr_node **args, int position, struct mr_node **out)
{
    if (mr_function_find(name, NULL) == NULL)
        return unknown_function(unit, name, position);
    const struct mr_function *function = choose_row(unit, name, nargs, args);
    if (function == NULL)
        return no_match(unit, name, nargs, args, position);
    struct mr_binding binding = {.arena = unit->arena,
                                 .session = unit->session,
                                 .function = function,
                                 .nargs = nargs,
                                 .args = args,
                                 .flags = function->flags,
                                 .kernel = function->kernel,
                                 .position = position,
                                 .binder = unit,
                                 .err = unit->err};
    MR_TRY(apply_signature(&binding));
    if (function->bind != NULL)
        MR_TRY(function->bind(&binding));
    if (!binding.nullable_decided)
        binding.nullable |= result_nullable(&binding);
    if (binding.replacement != NULL) {
        *out = binding.replacement;
        return MR_OK;
    }
    if (binding.type == NULL)
        return mr_error_nomem(unit->err);
    return make_call(unit, &binding, position, out);
}

enum mr_status mr_bind_call(struct mr_binding *binding, const char *name, int nargs,
                            struct mr_node **args, struct mr_node **out)
{
    return bind_call_over(binding->binder, name, nargs, args, binding->position, out);
}

enum mr_status mr_bind_case(struct mr_binding *binding, int nargs, struct mr_node **args,
                            struct mr_node **out)
{
    return mr_unit_case(binding->binder, nargs, args, binding->position, out);
}

static enum mr_status bind_call(struct mr_unit *unit, struct mr_ast *ast, int position,
                                struct mr_node **out)
{
    if (ast->window != NULL)
        return mr_unit_fail(unit, position,
                            "OVER stands only in the query of a sql step; use windowColumns");
    const char *clause = ast->distinct ? "DISTINCT" : NULL;
    clause = ast->filter ? "FILTER" : ast->order ? "WITHIN GROUP" : clause;
    clause = ast->ignore_nulls ? "IGNORE NULLS" : clause;
    if (clause && !mr_aggregate_find(ast->name))
        return mr_unit_fail(unit, position, "%s belongs to aggregates, not to %.80s here", clause,
                            ast->name);
    struct mr_node **args = mr_arena_calloc(unit->arena, (size_t)ast->nargs + 1, sizeof(*args));
    if (args == NULL)
        return mr_error_nomem(unit->err);
    if (mr_function_find(ast->name, NULL) == NULL)
        return unknown_function(unit, ast->name, position);
    for (int i = 0; i < ast->nargs; i++)
        MR_TRY(bind(unit, ast->args[i], &args[i]));
    return bind_call_over(unit, ast->name, ast->nargs, args, position, out);
}

static enum mr_status bind_field(struct mr_unit *unit, struct mr_ast *ast, int position,
                                 struct mr_node **out)
{
    struct mr_ast *base = ast->args[0];
    if (base->kind == MR_AST_NAME) {
        MR_TRY(bind_qualified(unit, base->name, ast->name, position, out));
        if (*out != NULL)
            return MR_OK;
    }
    struct mr_node *args[2];
    struct mr_value name = {.type = mr_type_of(MR_TYPE_STRING), .u.bytes = mr_slice_of(ast->name)};
    enum mr_status status = bind(unit, base, &args[0]);
    if (status == MR_CONFIG && base->kind == MR_AST_NAME && !unit->scope->qualifiers &&
        mr_schema_find(unit->scope->schema, base->name) == -1 &&
        mr_schema_find(unit->scope->schema, ast->name) >= 0)
        mr_error_hint(unit->err,
                      "write %.80s alone: names of frames stand before columns only in "
                      "joinConditions and in the query of a sql step",
                      ast->name);
    MR_TRY(status);
    MR_TRY(mr_unit_literal(unit, &name, position, &args[1]));
    return bind_call_over(unit, "get_field", 2, args, position, out);
}

/* CASE x WHEN v becomes CASE WHEN x = v; conditions must be BOOLEAN, results get their common type. */
static MR_NOINLINE enum mr_status bind_when(struct mr_unit *unit, struct mr_ast *ast, int i,
                                            struct mr_node **out)
{
    struct mr_ast *when = ast->args[i];
    int position = character_of(unit, when->position);
    MR_TRY(bind(unit, when, out));
    if (ast->operand != NULL) {
        struct mr_node *args[2] = {NULL, *out};
        MR_TRY(bind(unit, ast->operand, &args[0]));
        return bind_call_over(unit, "=", 2, args, position, out);
    }
    if ((*out)->type->id == MR_TYPE_BOOL)
        return MR_OK;
    char text[96];
    return mr_unit_fail(unit, position, "the condition behind WHEN is %s, not boolean",
                        mr_type_text((*out)->type, text, sizeof(text)));
}

/* The common type of the results (args[1], args[3], ..., the last). */
static MR_NOINLINE enum mr_status case_type(struct mr_unit *unit, int nargs,
                                            struct mr_node *const *args, const struct mr_type **out)
{
    *out = args[nargs - 1]->type;
    for (int i = 1; i < nargs - 1; i += 2) {
        const struct mr_type *wider =
            mr_common_type(unit->arena, unit->session, *out, args[i]->type);
        if (wider == NULL) {
            char a[96], b[96];
            return mr_unit_fail(unit, args[i]->position,
                                "the results of CASE have no common type: %s and %s",
                                mr_type_text(*out, a, sizeof(a)),
                                mr_type_text(args[i]->type, b, sizeof(b)));
        }
        *out = wider;
    }
    return MR_OK;
}

enum mr_status mr_unit_case(struct mr_unit *unit, int nargs, struct mr_node **args, int position,
                            struct mr_node **out)
{
    const struct mr_type *common;
    bool nullable = false;
    MR_TRY(case_type(unit, nargs, args, &common));
    for (int i = 0; i < nargs; i++) {
        if (i % 2 == 0 && i < nargs - 1)
            continue;
        MR_TRY(mr_unit_cast(unit, args[i], common, true, false, args[i]->position, &args[i]));
        nullable |= args[i]->nullable;
    }
    struct mr_node node = {.kind = MR_NODE_CASE,
                           .type = common,
                           .nullable = nullable,
                           .column = -1,
                           .name = "CASE",
                           .nargs = nargs,
                           .args = args,
                           .position = position};
    struct mr_impl impl = {.flags = MR_FN_NULLS};
    return mr_unit_node(unit, &node, &impl, out);
}

static enum mr_status bind_case(struct mr_unit *unit, struct mr_ast *ast, int position,
                                struct mr_node **out)
{
    struct mr_node **args = mr_arena_calloc(unit->arena, (size_t)ast->nargs + 1, sizeof(*args));
    if (args == NULL)
        return mr_error_nomem(unit->err);
    for (int i = 0; i < ast->nargs; i++) {
        if (i % 2 == 0 && i < ast->nargs - 1)
            MR_TRY(bind_when(unit, ast, i, &args[i]));
        else
            MR_TRY(bind(unit, ast->args[i], &args[i]));
    }
    return mr_unit_case(unit, ast->nargs, args, position, out);
}

static enum mr_status bind_cast(struct mr_unit *unit, struct mr_ast *ast, int position,
                                struct mr_node **out)
{
    const struct mr_type *type = mr_type_copy(unit->arena, ast->type);
    if (type == NULL)
        return mr_error_nomem(unit->err);
    MR_TRY(bind(unit, ast->args[0], out));
    return mr_unit_cast(unit, *out, type, false, ast->try_cast, position, out);
}

static enum mr_status bind_new(struct mr_unit *unit, struct mr_ast *ast, struct mr_node **out)
{
    int position = character_of(unit, ast->position);
    struct mr_node *args[2];
    switch (ast->kind) {
    case MR_AST_LITERAL:
        return mr_unit_literal(unit, &ast->literal, position, out);
    case MR_AST_NAME:
        return bind_name(unit, ast->name, position, out);
    case MR_AST_FIELD:
        return bind_field(unit, ast, position, out);
    case MR_AST_INDEX:
        MR_TRY(bind(unit, ast->args[0], &args[0]));
        MR_TRY(bind(unit, ast->args[1], &args[1]));
        return bind_call_over(unit, "[]", 2, args, position, out);
    case MR_AST_CALL:
        return bind_call(unit, ast, position, out);
    case MR_AST_CAST:
        return bind_cast(unit, ast, position, out);
    case MR_AST_CASE:
        return bind_case(unit, ast, position, out);
    case MR_AST_QUERY:
    case MR_AST_EXISTS:
    case MR_AST_IN_QUERY:
        return mr_unit_fail(unit, position, "a sub-query stands only in the query of a sql step");
    case MR_AST_COLUMN:
        return column_node(unit, ast->column, position, out);
    case MR_AST_STAR:
        break;
    }
    return mr_unit_fail(unit, position, "* is for count(*)");
}

static enum mr_status bind(struct mr_unit *unit, struct mr_ast *ast, struct mr_node **out)
{
    if (ast->bound == NULL)
        MR_TRY(bind_new(unit, ast, &ast->bound));
    *out = ast->bound;
    return MR_OK;
}

enum mr_status mr_unit_bind(struct mr_unit *unit, struct mr_ast *ast, struct mr_node **out)
{
    return bind(unit, ast, out);
}
