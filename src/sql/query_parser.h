/*
 * query_parser.h - what query_parse.c (SELECT, set operations) and query_from.c (FROM, OVER) share.
 */
#ifndef MR_SQL_QUERY_PARSER_H
#define MR_SQL_QUERY_PARSER_H

#include "sql/parser.h"
#include "sql/query.h"

/* Room for one more item of `size` bytes in an array of the arena, cleared; NULL: out of memory. */
void *mr_parser_grow(struct mr_parser *parser, void *items, int *count, size_t size);
#define MR_PARSER_PUSH(parser, items, count)                                                       \
    ((items) = mr_parser_grow((parser), (items), &(count), sizeof(*(items))))

/* A name: a word that does not start a clause, or one in backticks. `what` for the message. */
enum mr_status mr_parse_name(struct mr_parser *parser, const char *what, const char **name);
/* [AS] name, where a clause may follow instead; *name stays NULL then. */
enum mr_status mr_parse_alias(struct mr_parser *parser, const char **name);
/* (a, b, ...) behind an alias or USING; the parenthesis is next. */
enum mr_status mr_parse_names(struct mr_parser *parser, struct mr_query_name **names, int *count);
enum mr_status mr_parse_from(struct mr_parser *parser, struct mr_from **out);
/*
 * The arguments of TUMBLE and its family in FROM, the parenthesis next; `from` is the frame. Or TABLE( .. ) around the
 * call (query_window.c).
 */
enum mr_status mr_parse_from_window(struct mr_parser *parser, struct mr_from *from);
/* EMIT CHANGES, EMIT FINAL, or nothing. */
enum mr_status mr_parse_emit(struct mr_parser *parser, struct mr_query *query);
/* expr [ASC | DESC] [NULLS FIRST | LAST], ...; *depth: the greatest of its expressions. */
enum mr_status mr_parse_orders(struct mr_parser *parser, struct mr_ast_order **orders, int *count,
                               int *depth);
/* Known to the dialect, not built: an error that names it. */
enum mr_status mr_parser_refuse(struct mr_parser *parser, const char *what, const char *hint);
bool mr_parser_at_any(const struct mr_parser *parser, const char *const *words);

#endif
