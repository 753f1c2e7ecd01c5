/*
 * query_from.c - FROM with its joins, and OVER with its frames.
 *
 * Joins are left-deep, as written. A parenthesis in FROM may hold a query or a relation; which one is
 * told by what stands behind the inner parentheses, found by skipping tokens, not by trying both:
 * trying doubles the work at every level.
 */
#include "sql/query_parser.h"

#include "base/text.h"

static const char *const set_words[] = {"UNION", "INTERSECT", "EXCEPT", "MINUS",
                                        "ORDER", "LIMIT",     "OFFSET", NULL};

/* At "(": does it hold a query (and not a relation that begins with one)? */
static MR_LEAF bool holds_query(const struct mr_parser *parser)
{
    struct mr_parser ahead = *parser;
    int open = 0;
    ahead.err = NULL;
    while (mr_parser_at_op(&ahead, "(")) {
        open++;
        if (mr_parser_advance(&ahead) != MR_OK)
            return false;
    }
    if (!mr_parser_at_query(&ahead) && !mr_parser_at_word(&ahead, "VALUES"))
        return false;
    if (open == 1)
        return true;
    while (open > 1) { /* to the end of the second parenthesis */
        if (ahead.token.kind == MR_TOKEN_END)
            return true;
        open += mr_parser_at_op(&ahead, "(") - mr_parser_at_op(&ahead, ")");
        if (mr_parser_advance(&ahead) != MR_OK)
            return true;
    }
    return mr_parser_at_op(&ahead, ")") || mr_parser_at_any(&ahead, set_words);
}

static enum mr_status new_from(struct mr_parser *parser, enum mr_from_kind kind,
                               struct mr_from **out)
{
    *out = mr_arena_calloc(parser->arena, 1, sizeof **out);
    if (*out == NULL)
        return mr_error_nomem(parser->err);
    (*out)->kind = kind;
    (*out)->position = parser->token.start;
    (*out)->height = 1;
    return MR_OK;
}

static enum mr_status parse_relation(struct mr_parser *parser, struct mr_from **out);

/* frame, or catalog.frame: the name as a whole. */
static enum mr_status parse_frame(struct mr_parser *parser, struct mr_from **out)
{
    bool more;
    if (mr_parser_at_word(parser, "LATERAL"))
        return mr_parser_refuse(parser, "LATERAL", "join with ON, or use EXISTS");
    if (mr_parser_at_word(parser, "VALUES"))
        return mr_parser_refuse(parser, "VALUES", "a query reads registered frames");
    MR_TRY(new_from(parser, MR_FROM_FRAME, out));
    MR_TRY(mr_parse_name(parser, "the name of a frame", &(*out)->name));
    MR_TRY(mr_parser_accept_op(parser, ".", &more));
    while (more) {
        const char *part;
        MR_TRY(mr_parse_name(parser, "the name of a frame", &part));
        (*out)->name = mr_arena_printf(parser->arena, "%s.%s", (*out)->name, part);
        if ((*out)->name == NULL)
            return mr_error_nomem(parser->err);
        MR_TRY(mr_parser_accept_op(parser, ".", &more));
    }
    if (!mr_parser_at_op(parser, "("))
        return MR_OK;
    return mr_parse_from_window(parser, *out);
}

/* A frame, a query or a relation in parentheses, with its alias. */
static enum mr_status parse_factor(struct mr_parser *parser, struct mr_from **out)
{
    bool relation = false;
    if (!mr_parser_at_op(parser, "(")) {
        MR_TRY(parse_frame(parser, out));
    } else if (holds_query(parser)) {
        MR_TRY(new_from(parser, MR_FROM_QUERY, out));
        MR_TRY(mr_parser_advance(parser));
        MR_TRY(mr_parse_query(parser, &(*out)->query));
        MR_TRY(mr_parser_expect_op(parser, ")"));
        (*out)->height = (*out)->query->height + 1;
    } else {
        relation = true;
        if (++parser->queries > MR_SQL_MAX_QUERIES)
            return mr_lexer_fail(parser->lexer.text, parser->token.start, parser->err,
                                 "FROM is nested deeper than %d levels", MR_SQL_MAX_QUERIES);
        MR_TRY(mr_parser_advance(parser));
        MR_TRY(parse_relation(parser, out));
        MR_TRY(mr_parser_expect_op(parser, ")"));
        parser->queries--;
    }
    if (mr_parser_at_word(parser, "TABLESAMPLE") || mr_parser_at_word(parser, "PIVOT") ||
        mr_parser_at_word(parser, "UNPIVOT"))
        return mr_parser_refuse(parser, parser->token.text, "use a step in front of this one");
    const char *alias;
    size_t position = parser->token.start;
    MR_TRY(mr_parse_alias(parser, &alias));
    if (alias != NULL && (relation && (*out)->kind == MR_FROM_JOIN))
        return mr_lexer_fail(parser->lexer.text, position, parser->err,
                             "a join in parentheses takes no alias; use (SELECT ..) AS %.80s",
                             alias);
    if (alias != NULL)
        (*out)->alias = alias;
    if (alias != NULL && mr_parser_at_op(parser, "("))
        return mr_parse_names(parser, &(*out)->columns, &(*out)->ncolumns);
    return MR_OK;
}

/* [NATURAL] [INNER | CROSS | LEFT [OUTER | SEMI | ANTI] | ...] JOIN. *found false: none is next. */
static MR_LEAF enum mr_status parse_join_words(struct mr_parser *parser, enum mr_query_join *join,
                                               bool *natural, bool *found)
{
    static const struct {
        const char *word;
        enum mr_query_join join;
    } words[] = {{"INNER", MR_QUERY_INNER}, {"CROSS", MR_QUERY_CROSS}, {"LEFT", MR_QUERY_LEFT},
                 {"RIGHT", MR_QUERY_RIGHT}, {"FULL", MR_QUERY_FULL},   {"SEMI", MR_QUERY_SEMI},
                 {"ANTI", MR_QUERY_ANTI}};
    bool outer = false, semi = false, anti = false;
    *join = MR_QUERY_INNER;
    MR_TRY(mr_parser_accept_word(parser, "NATURAL", natural));
    *found = *natural;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        bool word;
        MR_TRY(mr_parser_accept_word(parser, words[i].word, &word));
        if (!word)
            continue;
        *join = words[i].join;
        *found = true;
        if (*join == MR_QUERY_LEFT) {
            MR_TRY(mr_parser_accept_word(parser, "SEMI", &semi));
            if (!semi)
                MR_TRY(mr_parser_accept_word(parser, "ANTI", &anti));
        }
        *join = semi ? MR_QUERY_SEMI : anti ? MR_QUERY_ANTI : *join;
        bool sided = *join == MR_QUERY_LEFT || *join == MR_QUERY_RIGHT || *join == MR_QUERY_FULL;
        if (sided)
            MR_TRY(mr_parser_accept_word(parser, "OUTER", &outer));
        break;
    }
    if (*found)
        return mr_parser_expect_word(parser, "JOIN");
    return mr_parser_accept_word(parser, "JOIN", found);
}

static enum mr_status join_node(struct mr_parser *parser, size_t position, enum mr_query_join join,
                                struct mr_from *left, struct mr_from *right, struct mr_from **out)
{
    MR_TRY(new_from(parser, MR_FROM_JOIN, out));
    (*out)->position = position;
    (*out)->join = join;
    (*out)->left = left;
    (*out)->right = right;
    (*out)->height = (left->height > right->height ? left->height : right->height) + 1;
    if ((*out)->height > MR_SQL_MAX_DEPTH)
        return mr_lexer_fail(parser->lexer.text, position, parser->err, "more than %d joins",
                             MR_SQL_MAX_DEPTH);
    return MR_OK;
}

static enum mr_status parse_join_condition(struct mr_parser *parser, struct mr_from *join)
{
    bool found;
    MR_TRY(mr_parser_accept_word(parser, "ON", &found));
    if (found) {
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, &join->on));
        if (join->on->depth >= join->height)
            join->height = join->on->depth + 1;
        if (join->natural)
            return mr_lexer_fail(parser->lexer.text, join->position, parser->err,
                                 "a NATURAL join takes no ON");
        return MR_OK;
    }
    MR_TRY(mr_parser_accept_word(parser, "USING", &found));
    if (!found)
        return MR_OK;
    if (join->natural)
        return mr_lexer_fail(parser->lexer.text, join->position, parser->err,
                             "a NATURAL join takes no USING");
    return mr_parse_names(parser, &join->using, &join->nusing);
}

/* A factor with the joins behind it. */
static enum mr_status parse_relation(struct mr_parser *parser, struct mr_from **out)
{
    enum mr_query_join kind;
    bool natural, found;
    MR_TRY(parse_factor(parser, out));
    for (;;) {
        size_t position = parser->token.start;
        struct mr_from *right;
        MR_TRY(parse_join_words(parser, &kind, &natural, &found));
        if (!found)
            return MR_OK;
        MR_TRY(parse_factor(parser, &right));
        MR_TRY(join_node(parser, position, kind, *out, right, out));
        (*out)->natural = natural;
        MR_TRY(parse_join_condition(parser, *out));
    }
}

enum mr_status mr_parse_from(struct mr_parser *parser, struct mr_from **out)
{
    bool more;
    MR_TRY(parse_relation(parser, out));
    for (;;) {
        size_t position = parser->token.start;
        struct mr_from *right;
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
        if (!more)
            return MR_OK;
        MR_TRY(parse_relation(parser, &right));
        MR_TRY(join_node(parser, position, MR_QUERY_CROSS, *out, right, out));
    }
}

/* UNBOUNDED PRECEDING, n PRECEDING, CURRENT ROW, n FOLLOWING, UNBOUNDED FOLLOWING */
static enum mr_status parse_bound(struct mr_parser *parser, const char **bound,
                                  struct mr_ast **offset, int *depth)
{
    bool unbounded, current, preceding, following = false;
    MR_TRY(mr_parser_accept_word(parser, "CURRENT", &current));
    if (current) {
        *bound = "CURRENT ROW";
        return mr_parser_expect_word(parser, "ROW");
    }
    MR_TRY(mr_parser_accept_word(parser, "UNBOUNDED", &unbounded));
    if (!unbounded) {
        MR_TRY(mr_parse_expression(parser, MR_PREC_COMPARE, offset));
        if ((*offset)->depth > *depth)
            *depth = (*offset)->depth;
    }
    MR_TRY(mr_parser_accept_word(parser, "PRECEDING", &preceding));
    if (!preceding)
        MR_TRY(mr_parser_accept_word(parser, "FOLLOWING", &following));
    if (!preceding && !following)
        return mr_parser_unexpected(parser, "PRECEDING or FOLLOWING");
    *bound = unbounded ? (preceding ? "UNBOUNDED PRECEDING" : "UNBOUNDED FOLLOWING")
                       : (preceding ? "PRECEDING" : "FOLLOWING");
    return MR_OK;
}

static enum mr_status parse_window_frame(struct mr_parser *parser, struct mr_ast_window *window,
                                         int *depth)
{
    static const char *const kinds[] = {"ROWS", "RANGE"};
    bool found = false, between;
    if (mr_parser_at_word(parser, "GROUPS"))
        return mr_parser_refuse(parser, "GROUPS", "use ROWS or RANGE");
    for (int i = 0; i < 2 && !found; i++) {
        MR_TRY(mr_parser_accept_word(parser, kinds[i], &found));
        if (found)
            window->frame = kinds[i];
    }
    if (!found)
        return MR_OK;
    MR_TRY(mr_parser_accept_word(parser, "BETWEEN", &between));
    MR_TRY(parse_bound(parser, &window->from, &window->from_offset, depth));
    if (!between)
        return MR_OK;
    MR_TRY(mr_parser_expect_word(parser, "AND"));
    return parse_bound(parser, &window->to, &window->to_offset, depth);
}

static enum mr_status parse_partitions(struct mr_parser *parser, struct mr_ast_window *window,
                                       int *depth)
{
    bool more = true;
    MR_TRY(mr_parser_expect_word(parser, "BY"));
    while (more) {
        if (MR_PARSER_PUSH(parser, window->partitions, window->npartitions) == NULL)
            return MR_NOMEM;
        struct mr_ast **item = &window->partitions[window->npartitions - 1];
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, item));
        if ((*item)->depth > *depth)
            *depth = (*item)->depth;
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return MR_OK;
}

enum mr_status mr_parse_window(struct mr_parser *parser, struct mr_ast_window **out, int *depth)
{
    static const char *const words[] = {"PARTITION", "ORDER", "ROWS", "RANGE", "GROUPS", NULL};
    bool open, found;
    struct mr_ast_window *window = mr_arena_calloc(parser->arena, 1, sizeof *window);
    if (window == NULL)
        return mr_error_nomem(parser->err);
    *out = window;
    window->position = parser->token.start;
    MR_TRY(mr_parser_accept_op(parser, "(", &open));
    if (!open)
        return mr_parse_name(parser, "the name of a window", &window->name);
    if (!mr_parser_at_op(parser, ")") && !mr_parser_at_any(parser, words))
        MR_TRY(mr_parse_name(parser, "PARTITION BY, ORDER BY or a frame", &window->name));
    MR_TRY(mr_parser_accept_word(parser, "PARTITION", &found));
    if (found)
        MR_TRY(parse_partitions(parser, window, depth));
    MR_TRY(mr_parser_accept_word(parser, "ORDER", &found));
    if (found) {
        MR_TRY(mr_parser_expect_word(parser, "BY"));
        MR_TRY(mr_parse_orders(parser, &window->orders, &window->norders, depth));
    }
    MR_TRY(parse_window_frame(parser, window, depth));
    return mr_parser_expect_op(parser, ")");
}
