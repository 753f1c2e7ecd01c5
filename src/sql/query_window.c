/*
 * query_window.c - event-time windows in a query: Flink's table functions in FROM, and EMIT.
 *
 *     FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))     the standard's polymorphic table functions
 *     FROM HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES)
 *     FROM TABLE(SESSION(TABLE t PARTITION BY (a, b), DESCRIPTOR(ts), INTERVAL '5' MINUTES))
 *
 * The windows of GROUP BY (TUMBLE(ts, ..), window(ts, ..)) are calls like any other to the parser. No word here is
 * reserved: TABLE and TUMBLE are frames where no parenthesis follows.
 */
#include "sql/query_parser.h"

#include "base/text.h"

static bool is_window(const char *name)
{
    static const char *const names[] = {"TUMBLE", "HOP", "SESSION"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (mr_text_equal_nocase(name, names[i]))
            return true;
    }
    return false;
}

/* frame, catalog.frame */
static enum mr_status parse_table(struct mr_parser *parser, struct mr_from *from)
{
    bool more = true;
    const char *part;
    MR_TRY(mr_parser_expect_word(parser, "TABLE"));
    MR_TRY(mr_parse_name(parser, "the name of a frame", &from->name));
    MR_TRY(mr_parser_accept_op(parser, ".", &more));
    while (more) {
        MR_TRY(mr_parse_name(parser, "the name of a frame", &part));
        from->name = mr_arena_printf(parser->arena, "%s.%s", from->name, part);
        if (from->name == NULL)
            return mr_error_nomem(parser->err);
        MR_TRY(mr_parser_accept_op(parser, ".", &more));
    }
    return MR_OK;
}

/* PARTITION BY a, or PARTITION BY (a, b): a comma without parentheses ends the argument. */
static enum mr_status parse_partition(struct mr_parser *parser, struct mr_from_window *window)
{
    MR_TRY(mr_parser_expect_word(parser, "BY"));
    if (mr_parser_at_op(parser, "("))
        return mr_parse_names(parser, &window->partitions, &window->npartitions);
    if (MR_PARSER_PUSH(parser, window->partitions, window->npartitions) == NULL)
        return MR_NOMEM;
    window->partitions[0].position = parser->token.start;
    return mr_parse_name(parser, "the name of a column", &window->partitions[0].name);
}

static enum mr_status parse_arguments(struct mr_parser *parser, struct mr_from *from,
                                      struct mr_from_window *window)
{
    bool more;
    MR_TRY(mr_parser_expect_op(parser, "("));
    MR_TRY(parse_table(parser, from));
    MR_TRY(mr_parser_accept_word(parser, "PARTITION", &more));
    if (more && !mr_text_equal_nocase(window->name, "SESSION"))
        return mr_lexer_fail(parser->lexer.text, window->position, parser->err,
                             "PARTITION BY is for SESSION; GROUP BY has the keys of a %.20s",
                             window->name);
    if (more)
        MR_TRY(parse_partition(parser, window));
    MR_TRY(mr_parser_expect_op(parser, ","));
    MR_TRY(mr_parser_expect_word(parser, "DESCRIPTOR"));
    MR_TRY(mr_parser_expect_op(parser, "("));
    window->time.position = parser->token.start;
    MR_TRY(mr_parse_name(parser, "the name of a column", &window->time.name));
    MR_TRY(mr_parser_expect_op(parser, ")"));
    MR_TRY(mr_parser_expect_op(parser, ","));
    for (more = true; more;) {
        if (MR_PARSER_PUSH(parser, window->sizes, window->nsizes) == NULL)
            return MR_NOMEM;
        struct mr_ast **size = &window->sizes[window->nsizes - 1];
        MR_TRY(mr_parse_expression(parser, MR_PREC_OR, size));
        if ((*size)->depth >= from->height)
            from->height = (*size)->depth + 1;
        MR_TRY(mr_parser_accept_op(parser, ",", &more));
    }
    return mr_parser_expect_op(parser, ")");
}

static enum mr_status unknown_function(struct mr_parser *parser, const char *name, size_t position)
{
    mr_lexer_fail(parser->lexer.text, position, parser->err,
                  "the table function %.80s is not built in this version; a query reads "
                  "registered frames",
                  name);
    mr_error_hint(parser->err, "windows of event time are TUMBLE, HOP and SESSION");
    return MR_CONFIG;
}

enum mr_status mr_parse_from_window(struct mr_parser *parser, struct mr_from *from)
{
    bool table = mr_text_equal_nocase(from->name, "TABLE");
    const char *name = from->name;
    size_t position = from->position;
    if (table) {
        MR_TRY(mr_parser_advance(parser));
        position = parser->token.start;
        MR_TRY(mr_parse_name(parser, "the name of a table function", &name));
        if (!mr_parser_at_op(parser, "("))
            return mr_parser_unexpected(parser, "(");
    }
    if (!is_window(name))
        return unknown_function(parser, name, position);
    struct mr_from_window *window = mr_arena_calloc(parser->arena, 1, sizeof *window);
    if (window == NULL)
        return mr_error_nomem(parser->err);
    window->name = name;
    window->position = position;
    from->window = window;
    MR_TRY(parse_arguments(parser, from, window));
    return table ? mr_parser_expect_op(parser, ")") : MR_OK;
}

enum mr_status mr_parse_emit(struct mr_parser *parser, struct mr_query *query)
{
    bool emit, changes;
    query->emit_position = parser->token.start;
    MR_TRY(mr_parser_accept_word(parser, "EMIT", &emit));
    if (!emit)
        return MR_OK;
    MR_TRY(mr_parser_accept_word(parser, "CHANGES", &changes));
    query->emit = changes ? MR_QUERY_EMIT_CHANGES : MR_QUERY_EMIT_FINAL;
    if (!changes && !mr_parser_at_word(parser, "FINAL"))
        return mr_parser_unexpected(parser, "CHANGES or FINAL");
    return changes ? MR_OK : mr_parser_advance(parser);
}
