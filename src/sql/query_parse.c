/*
 * query_parse.c - SELECT .. FROM .. WHERE .., WITH, UNION and its family, ORDER BY and LIMIT.
 *
 * Expressions are the expression parser's: both share one lexer and one count of levels, so that
 * EXISTS (SELECT ..) in an expression and (SELECT ..) in FROM nest freely and hostile nesting is an
 * error. No word is reserved but those that start a clause where a name without AS could stand.
 * A chain of UNION ALL is one node however long it is, as chains of AND are.
 *
 * Spark's clauses that are not built (PIVOT, LATERAL VIEW, GROUPING SETS ..) are refused by name: a
 * clause that is skipped is a wrong answer.
 */
#include "sql/query_parser.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

void *mr_parser_grow(struct mr_parser *parser, void *items, int *count, size_t size)
{
    int n = *count;
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        char *grown = mr_arena_calloc(parser->arena, n == 0 ? 4 : (size_t)n * 2, size);
        if (grown == NULL) {
            mr_error_nomem(parser->err);
            return NULL;
        }
        if (n > 0)
            memcpy(grown, items, (size_t)n * size);
        items = grown;
    }
    *count = n + 1;
    return items;
}

bool mr_parser_at_any(const struct mr_parser *parser, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (mr_parser_at_word(parser, *words))
            return true;
    }
    return false;
}

enum mr_status mr_parser_refuse(struct mr_parser *parser, const char *what, const char *hint)
{
    mr_lexer_fail(parser->lexer.text, parser->token.start, parser->err,
                  "%s is not built in this version", what);
    if (hint != NULL)
        mr_error_hint(parser->err, "%s", hint);
    return MR_CONFIG;
}

static const char *const clause_words[] = {
    "SELECT",     "FROM",  "WHERE",     "GROUP",   "HAVING", "WINDOW",  "ORDER",       "LIMIT",
    "OFFSET",     "UNION", "INTERSECT", "EXCEPT",  "MINUS",  "ON",      "USING",       "JOIN",
    "INNER",      "LEFT",  "RIGHT",     "FULL",    "CROSS",  "NATURAL", "SEMI",        "ANTI",
    "LATERAL",    "PIVOT", "UNPIVOT",   "QUALIFY", "SORT",   "CLUSTER", "TABLESAMPLE", "EMIT",
    "DISTRIBUTE", "FETCH", "AND",       "OR",      "AS",     "WITH",    NULL,
};

enum mr_status mr_parse_name(struct mr_parser *parser, const char *what, const char **name)
{
    bool word = parser->token.kind == MR_TOKEN_WORD && !mr_parser_at_any(parser, clause_words);
    if (!word && parser->token.kind != MR_TOKEN_QUOTED)
        return mr_parser_unexpected(parser, what);
    *name = parser->token.text;
    return mr_parser_advance(parser);
}

enum mr_status mr_parse_alias(struct mr_parser *parser, const char **name)
{
    bool as;
    *name = NULL;
    MR_TRY(mr_parser_accept_word(parser, "AS", &as));
    if (as) { /* a clause's word is a name here */
        if (parser->token.kind != MR_TOKEN_WORD && parser->token.kind != MR_TOKEN_QUOTED)
            return mr_parser_unexpected(parser, "a name behind AS");
        *name = parser->token.text;
        return mr_parser_advance(parser);
    }
    if (parser->token.kind == MR_TOKEN_QUOTED ||
        (parser->token.kind == MR_TOKEN_WORD && !mr_parser_at_any(parser, clause_words)))
        return mr_parse_name(parser, "a name", name);
    return MR_OK;
}

enum mr_status mr_parse_names(struct mr_parser *parser, struct mr_query_name **names, int *count)
{
    bool more = true;
    MR_TRY(mr_parser_expect_op(parser, "("));
    while (more) {
        if (MR_PARSER_PUSH(parser, *names, *count) == NULL)
            return MR_NOMEM;
        struct mr_query_name *name = &(*names)[*count - 1];
        name->position = parser->token.start;
        MR_TRY(mr_parse_name(parser, "the name of a column", &name->name));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return mr_parser_expect_op(parser, ")");
}

enum mr_status mr_parse_orders(struct mr_parser *parser, struct mr_ast_order **orders, int *count,
                               int *depth)
{
    bool more = true;
    while (more) {
        bool ascending, nulls;
        if (MR_PARSER_PUSH(parser, *orders, *count) == NULL)
            return MR_NOMEM;
        struct mr_ast_order *order = &(*orders)[*count - 1];
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &order->expr));
        if (order->expr->depth > *depth)
            *depth = order->expr->depth;
        MR_TRY(mr_parser_accept_word(parser, "ASC", &ascending));
        if (!ascending)
            MR_TRY(mr_parser_accept_word(parser, "DESC", &order->descending));
        order->nulls_first = !order->descending;
        MR_TRY(mr_parser_accept_word(parser, "NULLS", &nulls));
        if (nulls) {
            MR_TRY(mr_parser_accept_word(parser, "FIRST", &order->nulls_first));
            if (!order->nulls_first)
                MR_TRY(mr_parser_expect_word(parser, "LAST"));
        }
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return MR_OK;
}

bool mr_parser_at_query(const struct mr_parser *parser)
{
    return mr_parser_at_word(parser, "SELECT") || mr_parser_at_word(parser, "WITH");
}

enum mr_status mr_parse_subquery(struct mr_parser *parser, enum mr_ast_kind kind, size_t position,
                                 struct mr_ast *const *args, int nargs, struct mr_ast **out)
{
    static const char *const names[] = {
        [MR_AST_QUERY] = "(query)", [MR_AST_EXISTS] = "EXISTS", [MR_AST_IN_QUERY] = "IN"};
    struct mr_query *query;
    MR_TRY(mr_parse_query(parser, &query));
    MR_TRY(mr_parser_expect_op(parser, ")"));
    MR_TRY(mr_ast_new(parser, kind, position, names[kind], args, nargs, out));
    (*out)->query = query;
    return mr_ast_deepen(parser, *out, query->height);
}

static void note_height(struct mr_query *query, int height)
{
    if (height >= query->height)
        query->height = height + 1;
}

static enum mr_status new_query(struct mr_parser *parser, enum mr_query_kind kind,
                                struct mr_query **out)
{
    struct mr_query *query = mr_arena_calloc(parser->arena, 1, sizeof *query);
    if (query == NULL)
        return mr_error_nomem(parser->err);
    query->kind = kind;
    query->position = parser->token.start;
    query->height = 1;
    *out = query;
    return MR_OK;
}

/* An expression of a clause. */
static enum mr_status clause_expression(struct mr_parser *parser, struct mr_query *query,
                                        struct mr_ast **out)
{
    MR_TRY(mr_parse_expression(parser, MR_PREC_OR, out));
    note_height(query, (*out)->depth);
    return MR_OK;
}

/* * or t.* at the next tokens. *found false: something else, nothing consumed. */
static MR_LEAF enum mr_status parse_star(struct mr_parser *parser, struct mr_query_item *item,
                                         bool *found)
{
    struct mr_parser ahead = *parser;
    ahead.err = NULL;
    *found = true;
    if (mr_parser_at_op(parser, "*"))
        return mr_parser_advance(parser);
    const char *name = parser->token.text;
    *found = (parser->token.kind == MR_TOKEN_WORD || parser->token.kind == MR_TOKEN_QUOTED) &&
             mr_parser_advance(&ahead) == MR_OK && mr_parser_at_op(&ahead, ".") &&
             mr_parser_advance(&ahead) == MR_OK && mr_parser_at_op(&ahead, "*");
    if (!*found)
        return MR_OK;
    item->qualifier = name;
    ahead.err = parser->err;
    *parser = ahead;
    return mr_parser_advance(parser);
}

/* EXCEPT (a, b) behind a star; EXCEPT (SELECT ..) and EXCEPT SELECT are set operations. */
static MR_LEAF enum mr_status parse_star_except(struct mr_parser *parser,
                                                struct mr_query_item *item)
{
    struct mr_parser ahead = *parser;
    ahead.err = NULL;
    if (!mr_parser_at_word(parser, "EXCEPT") || mr_parser_advance(&ahead) != MR_OK ||
        !mr_parser_at_op(&ahead, "(") || mr_parser_advance(&ahead) != MR_OK ||
        mr_parser_at_query(&ahead) || mr_parser_at_op(&ahead, "("))
        return MR_OK;
    MR_TRY(mr_parser_advance(parser));
    return mr_parse_names(parser, &item->except, &item->nexcept);
}

static enum mr_status parse_items(struct mr_parser *parser, struct mr_query *query)
{
    bool more = true, star;
    while (more) {
        if (MR_PARSER_PUSH(parser, query->items, query->nitems) == NULL)
            return MR_NOMEM;
        struct mr_query_item *item = &query->items[query->nitems - 1];
        item->position = parser->token.start;
        MR_TRY(parse_star(parser, item, &star));
        if (star) {
            MR_TRY(parse_star_except(parser, item));
        } else {
            MR_TRY(clause_expression(parser, query, &item->expr));
            MR_TRY(mr_parse_alias(parser, &item->alias));
        }
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return MR_OK;
}

static enum mr_status parse_group_by(struct mr_parser *parser, struct mr_query *query)
{
    static const char *const sets[] = {"ROLLUP", "CUBE", "GROUPING", NULL};
    bool more = true;
    query->grouped = true;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_expect_word(parser, "BY"));
    MR_TRY(mr_parser_accept_word(parser, "ALL", &query->group_all));
    if (query->group_all)
        return MR_OK;
    while (more) {
        if (mr_parser_at_any(parser, sets))
            return mr_parser_refuse(parser, parser->token.text, "UNION ALL of one GROUP BY each");
        if (MR_PARSER_PUSH(parser, query->groups, query->ngroups) == NULL)
            return MR_NOMEM;
        MR_TRY(clause_expression(parser, query, &query->groups[query->ngroups - 1]));
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    if (mr_parser_at_word(parser, "WITH") || mr_parser_at_word(parser, "GROUPING"))
        return mr_parser_refuse(parser, "WITH ROLLUP", "UNION ALL of one GROUP BY each");
    return MR_OK;
}

/* WINDOW w AS (..), ...; the word is consumed. */
static enum mr_status parse_named_windows(struct mr_parser *parser, struct mr_query *query)
{
    bool more = true;
    while (more) {
        int depth = 0;
        if (MR_PARSER_PUSH(parser, query->windows, query->nwindows) == NULL)
            return MR_NOMEM;
        struct mr_query_window *window = &query->windows[query->nwindows - 1];
        window->position = parser->token.start;
        MR_TRY(mr_parse_name(parser, "the name of a window", &window->name));
        MR_TRY(mr_parser_expect_word(parser, "AS"));
        if (!mr_parser_at_op(parser, "("))
            return mr_parser_unexpected(parser, "(");
        MR_TRY(mr_parse_window(parser, &window->spec, &depth));
        note_height(query, depth);
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return MR_OK;
}

/* Clauses of Spark or of streaming SQL that end a SELECT and are not built. */
static MR_LEAF enum mr_status refuse_clauses(struct mr_parser *parser)
{
    static const char *const clauses[][2] = {
        {"QUALIFY", "compute it in a sub-query in FROM, and filter outside"},
        {"LATERAL", "use explode in selectColumns or enrichData"},
        {"PIVOT", "use reshapeData"},
        {"UNPIVOT", "use reshapeData"},
        {"SORT", "use ORDER BY"},
        {"CLUSTER", "use repartitionByColumns behind this step"},
        {"DISTRIBUTE", "use repartitionByColumns behind this step"},
        {"TABLESAMPLE", NULL},
        {"FETCH", "use LIMIT"},
    };
    for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++) {
        if (mr_parser_at_word(parser, clauses[i][0]))
            return mr_parser_refuse(parser, clauses[i][0], clauses[i][1]);
    }
    if (parser->queries > 1 && mr_parser_at_word(parser, "EMIT"))
        return mr_lexer_fail(parser->lexer.text, parser->token.start, parser->err,
                             "EMIT stands at the end of the whole query, not in one within it");
    return MR_OK;
}

static enum mr_status parse_clauses(struct mr_parser *parser, struct mr_query *query)
{
    bool found;
    MR_TRY(mr_parser_accept_word(parser, "FROM", &found));
    if (found) {
        MR_TRY(mr_parse_from(parser, &query->from));
        note_height(query, query->from->height);
    }
    MR_TRY(refuse_clauses(parser));
    MR_TRY(mr_parser_accept_word(parser, "WHERE", &found));
    if (found)
        MR_TRY(clause_expression(parser, query, &query->where));
    if (mr_parser_at_word(parser, "GROUP"))
        MR_TRY(parse_group_by(parser, query));
    MR_TRY(mr_parser_accept_word(parser, "HAVING", &found));
    if (found)
        MR_TRY(clause_expression(parser, query, &query->having));
    MR_TRY(mr_parser_accept_word(parser, "WINDOW", &found));
    return found ? parse_named_windows(parser, query) : MR_OK;
}

static enum mr_status parse_select(struct mr_parser *parser, struct mr_query **out)
{
    bool all;
    if (mr_parser_at_word(parser, "VALUES"))
        return mr_parser_refuse(parser, "VALUES", "a query reads registered frames");
    if (!mr_parser_at_word(parser, "SELECT"))
        return mr_parser_unexpected(parser, "SELECT");
    MR_TRY(new_query(parser, MR_QUERY_SELECT, out));
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_accept_word(parser, "DISTINCT", &(*out)->distinct));
    if (!(*out)->distinct)
        MR_TRY(mr_parser_accept_word(parser, "ALL", &all));
    MR_TRY(parse_items(parser, *out));
    MR_TRY(parse_clauses(parser, *out));
    return refuse_clauses(parser);
}

/* SELECT .., or a query in parentheses. */
static enum mr_status parse_term(struct mr_parser *parser, struct mr_query **out)
{
    bool open;
    MR_TRY(mr_parser_accept_op(parser, "(", &open));
    if (!open)
        return parse_select(parser, out);
    MR_TRY(mr_parse_query(parser, out));
    return mr_parser_expect_op(parser, ")");
}

static bool set_operation(const struct mr_parser *parser, enum mr_query_kind *kind)
{
    *kind = mr_parser_at_word(parser, "UNION")       ? MR_QUERY_UNION
            : mr_parser_at_word(parser, "INTERSECT") ? MR_QUERY_INTERSECT
                                                     : MR_QUERY_EXCEPT;
    return *kind != MR_QUERY_EXCEPT || mr_parser_at_word(parser, "EXCEPT") ||
           mr_parser_at_word(parser, "MINUS");
}

static bool has_tail(const struct mr_query *query)
{
    return query->norders > 0 || query->order_all || query->limit || query->offset ||
           query->nctes > 0;
}

/* A set operation over `left`, or the one that it is already. */
static enum mr_status join_terms(struct mr_parser *parser, enum mr_query_kind kind, bool all,
                                 struct mr_query **left, bool fresh, struct mr_query *right)
{
    struct mr_query *node = *left;
    bool chain = !fresh && node->kind == kind && node->all == all && kind == MR_QUERY_UNION;
    if (!chain) {
        MR_TRY(new_query(parser, kind, &node));
        node->position = (*left)->position;
        node->all = all;
        if (MR_PARSER_PUSH(parser, node->terms, node->nterms) == NULL)
            return MR_NOMEM;
        node->terms[0] = *left;
        note_height(node, (*left)->height);
    }
    if (right != NULL) {
        if (MR_PARSER_PUSH(parser, node->terms, node->nterms) == NULL)
            return MR_NOMEM;
        node->terms[node->nterms - 1] = right;
        note_height(node, right->height);
    }
    *left = node;
    if (node->height > MR_SQL_MAX_DEPTH)
        return mr_lexer_fail(parser->lexer.text, node->position, parser->err,
                             "the query is nested deeper than %d levels", MR_SQL_MAX_DEPTH);
    return MR_OK;
}

/* INTERSECT binds tighter than UNION and EXCEPT. */
static enum mr_status parse_set(struct mr_parser *parser, bool intersects, struct mr_query **out)
{
    enum mr_query_kind kind;
    bool all, distinct, fresh = true;
    MR_TRY(intersects ? parse_term(parser, out) : parse_set(parser, true, out));
    while (set_operation(parser, &kind) && (kind == MR_QUERY_INTERSECT) == intersects) {
        struct mr_query *right;
        MR_TRY(mr_parser_advance(parser));
        MR_TRY(mr_parser_accept_word(parser, "ALL", &all));
        if (!all)
            MR_TRY(mr_parser_accept_word(parser, "DISTINCT", &distinct));
        MR_TRY(intersects ? parse_term(parser, &right) : parse_set(parser, true, &right));
        MR_TRY(join_terms(parser, kind, all, out, fresh, right));
        fresh = false;
    }
    return MR_OK;
}

static MR_LEAF enum mr_status parse_order_all(struct mr_parser *parser, struct mr_query *query)
{
    struct mr_parser ahead = *parser;
    static const char *const behind[] = {"ASC", "DESC", "NULLS", "LIMIT", "OFFSET", NULL};
    bool ascending, nulls;
    ahead.err = NULL;
    if (!mr_parser_at_word(parser, "ALL") || mr_parser_advance(&ahead) != MR_OK ||
        !(ahead.token.kind == MR_TOKEN_END || mr_parser_at_op(&ahead, ")") ||
          mr_parser_at_any(&ahead, behind)))
        return MR_OK;
    query->order_all = true;
    MR_TRY(mr_parser_advance(parser));
    MR_TRY(mr_parser_accept_word(parser, "ASC", &ascending));
    if (!ascending)
        MR_TRY(mr_parser_accept_word(parser, "DESC", &query->order_all_descending));
    query->order_all_nulls_first = !query->order_all_descending;
    MR_TRY(mr_parser_accept_word(parser, "NULLS", &nulls));
    if (!nulls)
        return MR_OK;
    MR_TRY(mr_parser_accept_word(parser, "FIRST", &query->order_all_nulls_first));
    return query->order_all_nulls_first ? MR_OK : mr_parser_expect_word(parser, "LAST");
}

/* ORDER BY, LIMIT, OFFSET. */
static enum mr_status parse_tail(struct mr_parser *parser, struct mr_query *query)
{
    bool found, all;
    int depth = 0;
    MR_TRY(mr_parser_accept_word(parser, "ORDER", &found));
    if (found) {
        MR_TRY(mr_parser_expect_word(parser, "BY"));
        MR_TRY(parse_order_all(parser, query));
        if (!query->order_all)
            MR_TRY(mr_parse_orders(parser, &query->orders, &query->norders, &depth));
        note_height(query, depth);
    }
    MR_TRY(refuse_clauses(parser));
    MR_TRY(mr_parser_accept_word(parser, "LIMIT", &found));
    if (found) {
        MR_TRY(mr_parser_accept_word(parser, "ALL", &all));
        if (!all)
            MR_TRY(clause_expression(parser, query, &query->limit));
    }
    MR_TRY(mr_parser_accept_word(parser, "OFFSET", &found));
    return found ? clause_expression(parser, query, &query->offset) : MR_OK;
}

static enum mr_status parse_ctes(struct mr_parser *parser, struct mr_query_cte **ctes, int *count,
                                 int *height)
{
    bool more = true;
    MR_TRY(mr_parser_advance(parser));
    if (mr_parser_at_word(parser, "RECURSIVE"))
        return mr_parser_refuse(parser, "WITH RECURSIVE", NULL);
    while (more) {
        bool as;
        if (MR_PARSER_PUSH(parser, *ctes, *count) == NULL)
            return MR_NOMEM;
        struct mr_query_cte *cte = &(*ctes)[*count - 1];
        cte->position = parser->token.start;
        MR_TRY(mr_parse_name(parser, "the name of a query", &cte->name));
        if (mr_parser_at_op(parser, "("))
            MR_TRY(mr_parse_names(parser, &cte->columns, &cte->ncolumns));
        MR_TRY(mr_parser_accept_word(parser, "AS", &as));
        MR_TRY(mr_parser_expect_op(parser, "("));
        MR_TRY(mr_parse_query(parser, &cte->query));
        MR_TRY(mr_parser_expect_op(parser, ")"));
        if (cte->query->height > *height)
            *height = cte->query->height;
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return MR_OK;
}

enum mr_status mr_parse_query(struct mr_parser *parser, struct mr_query **out)
{
    static const char *const tails[] = {"ORDER", "LIMIT", "OFFSET", NULL};
    struct mr_query_cte *ctes = NULL;
    int nctes = 0, height = 0;
    if (++parser->queries > MR_SQL_MAX_QUERIES)
        return mr_lexer_fail(parser->lexer.text, parser->token.start, parser->err,
                             "queries are nested deeper than %d levels", MR_SQL_MAX_QUERIES);
    if (mr_parser_at_word(parser, "WITH"))
        MR_TRY(parse_ctes(parser, &ctes, &nctes, &height));
    MR_TRY(parse_set(parser, false, out));
    if (has_tail(*out) && (nctes > 0 || mr_parser_at_any(parser, tails)))
        MR_TRY(join_terms(parser, MR_QUERY_UNION, true, out, true, NULL));
    (*out)->ctes = ctes;
    (*out)->nctes = nctes;
    if (nctes == 0 && !mr_parser_at_any(parser, tails)) {
        parser->queries--;
        return refuse_clauses(parser);
    }
    note_height(*out, height);
    parser->queries--;
    return parse_tail(parser, *out);
}

static void line_of(const char *text, size_t offset, int *line, int *column, long long *character)
{
    *line = *column = 1;
    *character = 1;
    for (size_t i = 0; i < offset && text[i] != '\0'; i++) {
        bool starts = ((unsigned char)text[i] & 0xC0) != 0x80;
        *character += starts;
        *column += starts;
        if (text[i] == '\n') {
            *line += 1;
            *column = 1;
        }
    }
}

/* Removes "at character N: " of another text. */
static const char *bare_message(const char *message)
{
    const char prefix[] = "at character ";
    if (strncmp(message, prefix, sizeof prefix - 1) != 0)
        return message;
    const char *colon = strchr(message, ':');
    return colon != NULL && colon[1] == ' ' ? colon + 2 : message;
}

enum mr_status mr_query_fail_at(const char *text, size_t offset, struct mr_error *err)
{
    int line, column;
    long long character;
    if (err == NULL)
        return MR_CONFIG;
    line_of(text, offset, &line, &column, &character);
    const char *bare = bare_message(err->message);
    memmove(err->message, bare, strlen(bare) + 1);
    mr_error_prefix(err, "at line %d, column %d (character %lld)", line, column, character);
    mr_error_where(err, "query, line %d, column %d", line, column);
    return err->status;
}

void mr_query_relocate(const char *text, struct mr_error *err)
{
    const char prefix[] = "expression, character ";
    if (err == NULL || strncmp(err->where, prefix, sizeof prefix - 1) != 0)
        return;
    long long character = strtoll(err->where + sizeof prefix - 1, NULL, 10);
    size_t offset = 0;
    for (; character > 1 && text[offset] != '\0'; character--) {
        offset++;
        while (((unsigned char)text[offset] & 0xC0) == 0x80)
            offset++;
    }
    mr_query_fail_at(text, offset, err);
}

enum mr_status mr_query_fail(const char *text, size_t offset, struct mr_error *err,
                             const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    mr_error_config(err, "%s", message);
    mr_query_fail_at(text, offset, err);
    return MR_CONFIG;
}

static enum mr_status parse_whole(struct mr_arena *arena, const char *text, size_t size,
                                  struct mr_query **out, struct mr_error *err)
{
    struct mr_parser parser = {.arena = arena, .err = err};
    mr_lexer_init(&parser.lexer, arena, text, size);
    MR_TRY(mr_parser_advance(&parser));
    MR_TRY(mr_parse_query(&parser, out));
    MR_TRY(mr_parse_emit(&parser, *out));
    if (parser.token.kind != MR_TOKEN_END)
        return mr_parser_unexpected(&parser, "a clause or the end of the query");
    return MR_OK;
}

enum mr_status mr_query_parse(struct mr_arena *arena, const char *text, struct mr_query **out,
                              struct mr_error *err)
{
    size_t size = strlen(text);
    if (size > MR_SQL_MAX_TEXT)
        return mr_error_config(err, "the query is longer than 1 MiB");
    if (mr_utf8_valid_prefix(text, size) != size)
        return mr_query_fail(text, mr_utf8_valid_prefix(text, size), err, "the query is not UTF-8");
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL)
        size--;
    if (size > 0 && text[size - 1] == ';')
        size--;
    enum mr_status status = parse_whole(arena, text, size, out, err);
    if (status == MR_CONFIG)
        mr_query_relocate(text, err);
    return status;
}
