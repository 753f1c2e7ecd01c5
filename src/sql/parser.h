/*
 * parser.h - the parser's state, shared by parser.c (operators) and parse_primary.c (everything with a keyword).
 */
#ifndef MR_SQL_PARSER_H
#define MR_SQL_PARSER_H

#include "sql/ast.h"
#include "sql/lexer.h"

/* On helpers that do not recurse: they stay out of the frames that do. */
#define MR_LEAF __attribute__((noinline))

struct mr_parser {
    struct mr_arena *arena;
    struct mr_lexer lexer;
    struct mr_token token; /* the next one, not consumed */
    int depth;             /* open calls of mr_parse_expression */
    int queries;           /* open calls of mr_parse_query */
    struct mr_error *err;
};

/* Binding strength of operators, weakest first (Spark's grammar). */
enum mr_precedence {
    MR_PREC_OR = 1,
    MR_PREC_AND,
    MR_PREC_NOT,
    MR_PREC_PREDICATE, /* IS, IN, LIKE, BETWEEN */
    MR_PREC_COMPARE,
    MR_PREC_BIT_OR,
    MR_PREC_BIT_XOR,
    MR_PREC_BIT_AND,
    MR_PREC_ADD, /* + - || */
    MR_PREC_MULTIPLY,
    MR_PREC_UNARY,
    MR_PREC_POSTFIX,
};

enum mr_status mr_parse_expression(struct mr_parser *parser, int minimum, struct mr_ast **out);
/* Literals, names, calls, CASE, CAST, INTERVAL, parentheses. */
enum mr_status mr_parse_primary(struct mr_parser *parser, struct mr_ast **out);
/* INTERVAL behind the keyword, which is consumed; *out is NULL when it is no interval but a column of that name. */
enum mr_status mr_parse_interval(struct mr_parser *parser, size_t position, struct mr_ast **out);
/* A number token, negated if `negative`. */
enum mr_status mr_parse_number(struct mr_parser *parser, bool negative, size_t position,
                               struct mr_ast **out);
/* Is a query next (SELECT, WITH), where an expression could be too? */
bool mr_parser_at_query(const struct mr_parser *parser);
/* A whole query, without parentheses (query_parse.c). */
enum mr_status mr_parse_query(struct mr_parser *parser, struct mr_query **out);
/* query) behind the opening parenthesis, as a node over `args`. */
enum mr_status mr_parse_subquery(struct mr_parser *parser, enum mr_ast_kind kind, size_t position,
                                 struct mr_ast *const *args, int nargs, struct mr_ast **out);
/* What follows OVER, which is consumed: a name, or a specification in parentheses. */
enum mr_status mr_parse_window(struct mr_parser *parser, struct mr_ast_window **out, int *depth);
/* The type name at the next token; `terminated` by ')' (CAST) or one type behind `::`. */
enum mr_status mr_parse_type(struct mr_parser *parser, bool terminated, const struct mr_type **out);

enum mr_status mr_parser_advance(struct mr_parser *parser);
bool mr_parser_at_word(const struct mr_parser *parser, const char *word);
bool mr_parser_at_op(const struct mr_parser *parser, const char *op);
/* Consume it if it is next. */
enum mr_status mr_parser_accept_word(struct mr_parser *parser, const char *word, bool *found);
enum mr_status mr_parser_accept_op(struct mr_parser *parser, const char *op, bool *found);
/* MR_CONFIG when it is not next. */
enum mr_status mr_parser_expect_word(struct mr_parser *parser, const char *word);
enum mr_status mr_parser_expect_op(struct mr_parser *parser, const char *op);
/* "expected WHAT, found TOKEN". */
enum mr_status mr_parser_unexpected(struct mr_parser *parser, const char *expected);

/* A node with its depth checked; copies the array of arguments. */
enum mr_status mr_ast_new(struct mr_parser *parser, enum mr_ast_kind kind, size_t position,
                          const char *name, struct mr_ast *const *args, int nargs,
                          struct mr_ast **out);
/* The node is above others of this depth, too. */
enum mr_status mr_ast_deepen(struct mr_parser *parser, struct mr_ast *ast, int depth);
enum mr_status mr_ast_literal(struct mr_parser *parser, size_t position,
                              const struct mr_value *value, struct mr_ast **out);
enum mr_status mr_ast_text(struct mr_parser *parser, size_t position, const char *text, size_t size,
                           struct mr_ast **out);

/* A growing list of nodes in the arena. */
struct mr_ast_list {
    struct mr_ast **items;
    int count;
    int capacity;
};
enum mr_status mr_ast_append(struct mr_parser *parser, struct mr_ast_list *list,
                             struct mr_ast *ast);

#endif
