/*
 * fuzz_query.c - any bytes as a query: an error with a message, or parts that can be bound; what is
 * parsed prints to a text that parses to the same.
 *
 * An input is one query, or several with a line of "--" alone between them, over the frames of
 * tests/unit/op/sql_fixture.c.
 */
#include "sql/query.h"
#include "unit/op/sql_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void complain(const char *what, const char *query, const char *more)
{
    fprintf(stderr, "%s: %s\n  %s\n", what, query, more);
    abort();
}

/* NULL when it does not parse; else the text, to be reset. */
static bool print(const char *text, struct mr_bytes *out, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_query *query;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(out, (size_t)1 << 20);
    enum mr_status status = mr_query_parse(&arena, text, &query, err);
    if (status == MR_OK)
        mr_query_print(out, query);
    else if (status != MR_CONFIG || err->message[0] == '\0')
        complain("no error", text, err->message);
    mr_arena_reset(&arena);
    return status == MR_OK && out->status == MR_OK;
}

static void check_printing(const char *query)
{
    struct mr_error err = {0};
    struct mr_bytes first, second;
    if (print(query, &first, &err)) {
        if (print(first.data, &second, &err)) {
            if (strcmp(first.data, second.data) != 0)
                complain("printed twice", first.data, second.data);
        } else if (strstr(err.message, "nested deeper") == NULL && second.status == MR_OK) {
            complain("printed", first.data, err.message); /* parentheses count as levels */
        }
        mr_bytes_reset(&second);
    }
    mr_bytes_reset(&first);
}

static void check_parts(const char *query)
{
    struct mr_arena arena;
    struct mr_error err = {0};
    struct mr_bytes text;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&text, (size_t)16 << 20);
    enum mr_status status = sql_fixture_expand(&arena, query, &text, &err);
    if (status == MR_INTERNAL || (status != MR_OK && err.message[0] == '\0'))
        complain("parts", query, err.message);
    if (status == MR_OK && text.size == 0)
        complain("parts", query, "there are none");
    mr_bytes_reset(&text);
    mr_arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    int queries = 0;
    for (char *query = text; query != NULL && queries < 20; queries++) {
        char *end = strstr(query, "\n--\n");
        if (end != NULL) {
            *end = '\0';
            end += 4;
        }
        check_printing(query);
        check_parts(query);
        query = end;
    }
    free(text);
    return 0;
}
